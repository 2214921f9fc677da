# Names of the repository, before what the commands themselves offer.
_gitsync_with_names() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} what= suffix=
    if [[ $before == --env || $before == -e ]]; then
        what=environments
    elif [[ $current != -* && $before != -* ]]; then
        case ${COMP_WORDS[1]} in
            rollback|approve|suspend|resume|why|tree) what=environments ;;
            image) [[ ${COMP_WORDS[2]} == set && $COMP_CWORD -gt 2 ]] && what=images suffix== ;;
            scale) what=apps suffix== ;;
        esac
    fi
    if [[ -n $what ]]; then
        local IFS=$'\n'
        COMPREPLY=($(compgen -S "$suffix" -W "$(gitsync complete "$what" 2>/dev/null)" -- "$current"))
        [[ -n $suffix ]] && compopt -o nospace 2>/dev/null
        [[ ${#COMPREPLY[@]} -gt 0 ]] && return 0
    fi
    _gitsync "$@"
}
complete -F _gitsync_with_names -o bashdefault -o default gitsync
