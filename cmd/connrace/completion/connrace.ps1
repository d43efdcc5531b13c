# PowerShell completion for connrace
Register-ArgumentCompleter -Native -CommandName connrace -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $line = @($commandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
    if ($wordToComplete -eq '') { $line += '""' }
    $rest = @($line | Select-Object -Skip 1)
    foreach ($found in (& $line[0] __complete @rest 2>$null)) {
        if ($found -eq ':files' -or $found -eq ':dirs') {
            [System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete)
        } elseif (-not $found.StartsWith(':')) {
            $word, $means = $found -split "`t", 2
            if (-not $means) { $means = $word }
            [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $means)
        }
    }
}
