# bash completion for connrace                                        -*- shell-script -*-
_connrace() {
	local line=${COMP_LINE:0:COMP_POINT} words cur word means paths=
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=("")
	cur=${words[${#words[@]} - 1]}
	# readline has broken the word at these, and replaces only what is behind the last.
	local head=
	if [[ $cur == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]]; then
		head=${cur%"${cur##*[=:]}"}
	fi
	COMPREPLY=()
	while IFS=$'\t' read -r word means; do
		case $word in
		:*) paths=${word#:} ;;
		*) COMPREPLY+=("${word#"$head"}") ;;
		esac
	done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
	case $paths in
	dirs) compopt -o dirnames 2>/dev/null ;;
	files) # with nothing else to offer, readline's own, which quotes as was begun
		if ((${#COMPREPLY[@]})); then
			compopt -o filenames 2>/dev/null
			while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "${cur#"$head"}")
		else
			compopt -o default 2>/dev/null
		fi
		;;
	esac
}
complete -F _connrace connrace
