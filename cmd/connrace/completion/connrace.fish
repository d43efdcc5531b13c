# fish completion for connrace
function __connrace_complete
    set -l line (commandline -opc)
    set -l cur (commandline -ct)
    for found in ($line[1] __complete $line[2..-1] "$cur" 2>/dev/null)
        switch $found
            case ':files'
                __fish_complete_path "$cur"
            case ':dirs'
                __fish_complete_directories "$cur"
            case ':*'
            case '*'
                echo $found
        end
    end
end
complete -c connrace -f -a '(__connrace_complete)'
