# fish completion of kubectl-canary: save it as kubectl-canary.fish in the folder of your completions.
function __kubectl_canary_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l lines (kubectl-canary __complete $words[2..] "$word" 2>/dev/null)
    if test "$lines[-1]" = ':0'
        __fish_complete_path "$word"
    end
    for line in $lines
        string match -q -r '^:' -- $line; or echo $line
    end
end
complete -c kubectl-canary -f -a '(__kubectl_canary_complete)'
