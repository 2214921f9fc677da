# Names of the repository.
_gitsync_names() {
    local -a names
    names=(${(f)"$(gitsync complete $1 2>/dev/null)"})
    shift
    compadd "$@" -a names
}
_gitsync_environments() { _gitsync_names environments }
_gitsync_images() { _gitsync_names images -S = }
_gitsync_apps() { _gitsync_names apps -S = }
