#compdef kubectl-canary
# zsh completion of kubectl-canary: source it after compinit, or save it as _kubectl-canary in your fpath.
_kubectl_canary() {
    local line name directive=4
    local -a candidates
    while IFS= read -r line; do
        if [[ $line == :* ]]; then
            directive=${line#:}
            continue
        fi
        name=${line%%$'\t'*}
        name=${name//:/\\:}
        if [[ $line == *$'\t'* ]]; then
            candidates+=("$name:${line#*$'\t'}")
        else
            candidates+=("$name")
        fi
    done < <(kubectl-canary __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#candidates} )); then
        _describe 'kubectl-canary' candidates
    elif [[ $directive != 4 ]]; then
        _files
    fi
}
if [[ $funcstack[1] == _kubectl-canary ]]; then
    _kubectl_canary
else
    compdef _kubectl_canary kubectl-canary
fi
