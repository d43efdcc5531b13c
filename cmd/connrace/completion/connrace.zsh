#compdef connrace
# zsh completion for connrace
_connrace() {
	local line word means paths
	local -a found shown
	for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		word=${line%%$'\t'*} means=${line#*$'\t'}
		if [[ $word == :* ]]; then
			paths=${word#:}
		elif [[ -n $word ]]; then
			found+=("$word")
			shown+=("$word${means:+  -- $means}")
		fi
	done
	if (( $#found )); then
		compadd -Q -l -d shown -- "${found[@]}"
	fi
	case $paths in
	files) _files ;;
	dirs) _files -/ ;;
	esac
}
if [[ $funcstack[1] == _connrace ]]; then
	_connrace "$@"
else
	compdef _connrace connrace
fi
