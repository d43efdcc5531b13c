module connrace

go 1.26
