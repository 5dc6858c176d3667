# Presses TAB behind a line, in an interactive zsh on a terminal, and writes what is offered.
# usage: zsh -f press.zsh SCRIPT LINE
if [[ $1 != --inside ]]; then
	zmodload zsh/zpty
	zpty shell zsh -f -i
	zpty -w shell "source ${(q)0} --inside ${(q)1}"
	until [[ $line == *ready* ]]; do zpty -r shell line || exit 1; done
	zpty -w -n shell "$2"$'\t'
	told=
	while zpty -r shell line; do
		case $line in
		*'<offered>'*) told=yes ;;
		*'</offered>'*) exit ;;
		*) [[ -z $told ]] || print -r -- ${line%%$'\r'*} ;;
		esac
	done
	exit 1
fi
PROMPT= RPROMPT=
unset HISTFILE
autoload -U compinit
compinit -u -D
source $2
compadd() { # every match is given to it
	local -a found
	if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
		builtin compadd -O found "$@"
		offered+=("${(@Q)found}")
	fi
	builtin compadd "$@"
}
tell() { print -r -- $'\n<offered>'; print -rl -- "${(@u)offered}"; print -r -- '</offered>'; exit }
comppostfuncs=(tell)
bindkey '^I' complete-word
print "re""ady"
