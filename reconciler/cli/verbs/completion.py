"""`anneal completion`: thin scripts for the shells; what can be completed is asked of `anneal __complete`."""

from __future__ import annotations

import sys

from reconciler.cli.args import Parser
from reconciler.cli.errors import OK, UsageError

BASH = """\
# anneal completion for bash: source <(anneal completion bash)
_anneal() {
    local IFS=$'\\n' words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    # bash cuts words at = and :, which stand in flags and names
    if declare -F _get_comp_words_by_ref >/dev/null; then
        local cur cword
        _get_comp_words_by_ref -n '=:' -w words -i cword
        words=("${words[@]:1:cword}")
    fi
    COMPREPLY=($(anneal __complete "${words[@]}" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[/=] ]]; then compopt -o nospace; fi
    if [[ ${COMPREPLY[0]} == :files ]]; then COMPREPLY=(); compopt -o default; fi
}
complete -F _anneal anneal
"""

ZSH = """\
#compdef anneal
# anneal completion for zsh: source <(anneal completion zsh)
_anneal() {
    local -a found slashed
    found=("${(@f)$(anneal __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $found[1] == :files ]]; then _files; return; fi
    slashed=(${(M)found:#*[/=]})
    found=(${found:#*[/=]})
    [[ -n $slashed ]] && compadd -S '' -- $slashed
    [[ -n $found ]] && compadd -- $found
}
compdef _anneal anneal
"""

FISH = """\
# anneal completion for fish: anneal completion fish | source
function __anneal_complete
    set -l words (commandline -opc)[2..-1] (commandline -ct)
    set -l found (anneal __complete $words 2>/dev/null)
    if test "$found[1]" = ":files"
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c anneal -f -a '(__anneal_complete)'
"""

SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def parser() -> Parser:
    """The flags of `anneal completion`."""
    made = Parser(
        "completion",
        "bash|zsh|fish",
        [
            ("source <(anneal completion bash)", "now; put it into ~/.bashrc for ever"),
            ("source <(anneal completion zsh)", "~/.zshrc"),
            ("anneal completion fish > ~/.config/fish/completions/anneal.fish", ""),
        ],
    )
    made.add_argument("shell", nargs="?", metavar="SHELL")
    return made


def run(argv: list[str]) -> int:
    """Print the script."""
    args = parser().parse(argv)
    if args.shell not in SHELLS:
        raise UsageError(f"cannot print a completion for {args.shell or 'no shell'}: say bash, zsh or fish")
    sys.stdout.write(SHELLS[args.shell])
    return OK
