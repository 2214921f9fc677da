# Names of the repository.
complete -c gitsync -n "not __fish_seen_subcommand_from check" -s e -l env -x -a "(gitsync complete environments 2>/dev/null)"
complete -c gitsync -n "__fish_seen_subcommand_from rollback approve suspend resume why tree" -x -a "(gitsync complete environments 2>/dev/null)"
complete -c gitsync -n "__fish_seen_subcommand_from set" -x -a "(gitsync complete images 2>/dev/null | string replace -r '\$' =)"
complete -c gitsync -n "__fish_seen_subcommand_from scale" -x -a "(gitsync complete apps 2>/dev/null | string replace -r '\$' =)"
