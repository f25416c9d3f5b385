# bash completion of kubectl-canary: source it, or save it in the folder of your completions.
_kubectl_canary() {
    local line directive=4
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :*) directive=${line#:} ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <(kubectl-canary __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ $directive != 4 ]]; then
        compopt -o default 2>/dev/null
    fi
}
complete -F _kubectl_canary kubectl-canary
