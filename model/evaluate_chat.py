"""Score the re-rankers of the chat on replayed conversations, or measure a log of it.

    python -m model.evaluate_chat --last-user 610
    python -m model.evaluate_chat --dialogues redial_valid.jsonl --split val --rerank score,score:a=0.3
    python -m model.evaluate_chat --base-url http://127.0.0.1:8080/v1 --model m --rerank llm,llm:blend=0.5 --judge
    python -m model.evaluate_chat --log chat.jsonl

Definitions: recommender/chat/evaluation.py. Tune on `--split val`, report `--split test` once.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from model.evaluate import averages_path, count, refuse, split_list
from recommender import cli
from recommender.chat import evaluation
from recommender.chat.client import RecordedClient
from recommender.chat.evaluation import TOP, Moment
from recommender.chat.prompts import clean
from recommender.chat.rerank import LLMReranker, MMRReranker, Reranked, Reranker
from recommender.chat.turns import Suggestion
from recommender.data.artifacts import need_file, need_folder
from recommender.data.errors import ChoiceError, DataError
from recommender.data.files import replace_file
from recommender.data.splits import load_all
from recommender.evaluate import report
from recommender.evaluate.embeddings import add_means
from recommender.evaluate.replay import make_folds
from recommender.evaluate.report import Report
from recommender.evaluate.run import Options, Spec
from recommender.evaluate.significance import N_RESAMPLES, compare
from recommender.facade import Recommender
from recommender.text import registry
from recommender.text.dialogues import read_dialogues

RETRIEVAL, NAMES = "retrieval", ("score", "mmr", "llm")
T = TypeVar("T")
Lists = dict[str, list[tuple[Suggestion, ...]]]  # by label, one for each moment
N_FAVORITES, N_SAMPLES = 4, 10  # named first by a person; moments in samples.md
CSV, SAMPLES, TITLE = "chat.csv", "samples.md", "# Replayed chats"


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Replay, choose, measure; or measure a log."""
    given = make_parser().parse_args(argv)
    check_flags(given)
    options = Options(given.split, (TOP,), given.resamples, given.seed, given.checkpoint)
    client = None
    if given.model:
        client = RecordedClient.open(given.base_url, given.model, given.key_variable, timeout=300)
        client.folder = given.checkpoint
    rerankers = make_rerankers(given, client)
    recommender = Recommender.load(given.processed, backend=given.backend)
    reports, moments, lists = list[Report](), list[Moment](), Lists()

    def add(made: Report) -> None:
        reports.append(made)
        print(report.text(made), end="\n\n", flush=True)

    if given.log:
        for name, turns in evaluation.of_log(given.log, recommender).items():
            add(of_log(name, turns, options))
    else:
        moments, what = replayed(given, recommender)
        first, lists = measure(what, moments, rerankers, client, options)
        add(first)
    for label in [*lists][1:] if client and given.judge else []:
        add(judged(client, moments, lists, label, options))
    if given.output:
        report.write_table(given.output / CSV, report.units(reports))
        report.write_table(averages_path(given.output / CSV), [report.averages(reports)])
    if given.output and moments:
        with replace_file(given.output / SAMPLES) as temporary:
            temporary.write_text(samples(moments, lists), encoding="utf-8")


def make_parser() -> cli.Parser:
    """Return the parser of the flags."""
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = cli.Parser("model.evaluate_chat", about, epilog=more)
    parser.add_common("processed", default=None, help="processed folder (default: the shipped data)")
    add = parser.add_argument
    methods = "re-rankers, with settings as name:key=value (default: score,mmr, and llm with --model)"
    add("--rerank", metavar="NAMES", help=methods)
    add("--dialogues", type=Path, metavar="JSONL", help="replay dialogues of ReDial instead of people who rated")
    add("--log", type=Path, metavar="FILE", help="measure a log of model.chat instead")
    add("--split", default="test", choices=("val", "test"), help="tune on val, report on test (default: test)")
    parser.add_common("base-url", help="a chat model chooses too: address of its server, up to /v1")
    parser.add_common("model", help="name of the chat model there")
    add("--judge", action="store_true", help="the chat model also judges the lists of each re-ranker")
    add("--most", type=count, metavar="N", help="moments to replay at most (default: all, with --model 100)")
    parser.add_common("output", help="write chat.csv, chat-averages.csv and samples.md here")
    add("--checkpoint", type=Path, metavar="DIR", help="keep answers of the model in this folder and resume from it")
    more_flags = parser.add_more("more").add_argument
    more_flags("--backend", choices=registry.names(), help="text backend (default: minilm, if stored)")
    more_flags("--key-variable", default="", metavar="NAME", help="environment variable with the key of the model")
    more_flags("--ids-only", action="store_true", help="the model gets numbered movies, nothing about people")
    more_flags("--turns", type=count, default=3, metavar="N", help="messages of a person (default: 3)")
    more_flags("--folds", type=count, default=5, metavar="N", help="number of folds of users (default: 5)")
    last = "replay users with ids up to this one; all others always train (the shipped data: 610 = ml-latest-small's)"
    more_flags("--last-user", type=cli.whole_number, metavar="ID", help=last)
    more_flags("--resamples", type=count, default=N_RESAMPLES, metavar="N", help="number of bootstrap samples")
    more_flags("--seed", type=cli.whole_number, default=0, metavar="N", help="of favorites, shuffles and bootstrap")
    return parser


def check_flags(given: argparse.Namespace) -> None:
    """Reject flags that do not fit together, and files that cannot be written."""
    refuse(
        (bool(given.base_url) != bool(given.model), "--base-url and --model go together: give both"),
        (given.judge and not given.model, "--judge needs a chat model: give --base-url and --model"),
        (given.checkpoint and not given.model, "--checkpoint keeps answers of a chat model: give --model too"),
        (given.log and (given.dialogues or given.rerank or given.model), "--log measures a log alone"),
    )
    given.rerank = given.rerank or ("score,mmr,llm" if given.model else "score,mmr")
    given.most = given.most or (100 if given.model else None)
    if given.checkpoint:
        need_folder(given.checkpoint, "--checkpoint")
    table = Path(CSV)
    for name, mark in ((table, "task,split,model"), (averages_path(table), "task,split,model"), (SAMPLES, TITLE)):
        if given.output:
            need_file(given.output / name, "--output", mark)


def replayed(given: argparse.Namespace, recommender: Recommender) -> tuple[list[Moment], str]:
    """Return the moments, and what they are."""
    if given.dialogues:
        what, dialogues = "dialogues", read_dialogues(given.dialogues, "redial")
        found = evaluation.of_dialogues(recommender, with_progress(dialogues, "replaying", what), given.split)
    else:
        what, ratings, catalog = "people", load_all(recommender.folder), recommender.catalog
        folds = make_folds(ratings, catalog, given.folds, N_FAVORITES, [given.seed], last_user=given.last_user)
        found = evaluation.of_people(recommender, with_progress(folds, "replaying", "folds"), given.split, given.turns)
    moments = [*found]
    if not moments:
        raise DataError(f"no {what} of {given.split} have a liked movie to find: use more data, or the other --split")
    if given.most and given.most < len(moments):
        moments = [moments[i] for i in np.linspace(0, len(moments) - 1, given.most).astype(int)]
    return moments, what


def with_progress(values: Sequence[T], label: str, unit: str = "") -> Iterator[T]:
    progress = cli.Progress(label, unit)
    for number, value in enumerate(values):
        progress(number, len(values))
        yield value
    progress(len(values), len(values))


def make_rerankers(given: argparse.Namespace, client: Optional[RecordedClient]) -> dict[str, Reranker]:
    """Return the re-rankers by label, the order of retrieval first."""

    def make_llm(**settings: Any) -> Reranker:
        if client is None:
            raise ChoiceError("--rerank llm needs a chat model: give --base-url and --model")
        return LLMReranker(client, **{"explain": not given.ids_only, "seed": given.seed, **settings})

    makers: dict[str, Callable[..., Reranker]] = {"score": evaluation.by_likes, "mmr": MMRReranker, "llm": make_llm}
    found: dict[str, Reranker] = {RETRIEVAL: MMRReranker(1.0)}
    for text in split_list(given.rerank, "--rerank"):
        spec = Spec.parse(text, NAMES, "re-ranker")
        try:
            found[spec.label] = makers[spec.name](**spec.settings)
        except TypeError as error:
            raise ChoiceError(f"--rerank {text}: {error}") from None
    return found


def measure(
    what: str,
    moments: list[Moment],
    rerankers: dict[str, Reranker],
    client: Optional[RecordedClient],
    options: Options,
) -> tuple[Report, Lists]:
    """Return the values of all re-rankers, and what they would show at each moment."""
    note = f"{len(moments):,} moments of {len(evaluation.units(moments)):,} {what}; "
    notes, lists = [f"{note}{TOP} of up to {moments[0].chat.n_candidates} candidates"], Lists()
    values = dict[str, dict[str, np.ndarray]]()
    for label, reranker in rerankers.items():
        rounds = []
        for name, run, shuffle in ((label, 0, 0), (f"{label} again", 1, 0), (f"{label} shuffled", 0, 1)):
            if client:
                client.run = run
            rounds.append([evaluation.choose(reranker, moment, shuffle) for moment in with_progress(moments, name)])
        lists[label] = [one.chat.suggestions(one.state, [one.candidates[i] for i in best.order], best.reasons)
                        for one, best in zip(moments, rounds[0])]  # fmt: skip
        values[label] = evaluation.measure(moments, [one.order for one in rounds[0]])
        for name, others in zip(("repeats", "shuffles"), rounds[1:]):
            shares = [evaluation.in_common(one.order, other.order) for one, other in zip(rounds[0], others)]
            values[label][name] = evaluation.of_units(moments, np.array(shares))
        if isinstance(reranker, LLMReranker):
            notes.append(f"{label}: {of_turns(rounds[0])}")
    return against(f"replayed {what}", options, evaluation.units(moments), notes, values, 3), lists


def of_log(name: str, turns: Sequence[tuple[Moment, Reranked]], options: Options) -> Report:
    """Return how near the five were to the taste, before and after a re-ranker; a unit is a person, else a turn."""
    people = evaluation.units(moment for moment, _ in turns)
    alone = len(people) == 1
    moments = [one._replace(unit=f"{place}") if alone else one for place, (one, _) in enumerate(turns, 1)]
    chosen = [each for _, each in turns]
    orders = {RETRIEVAL: [[*range(len(one.order))] for one in chosen], name: [one.order for one in chosen]}
    values = {label: evaluation.measure(moments, order) for label, order in orders.items()}
    values = {label: {measure: found[measure] for measure in ("cosine", "variance")} for label, found in values.items()}
    notes = [f"{len(turns):,} turns of {len(people):,} people: {of_turns(chosen)}"]
    return against(f"log, {name}", options._replace(part="log"), evaluation.units(moments), notes, values, 2)


def against(
    task: str,
    options: Options,
    units: Sequence[str],
    notes: list[str],
    values: dict[str, dict[str, np.ndarray]],
    n_compared: int,
) -> Report:
    """Return the means of all values, label -> measure -> (n_units,), and the first measures less the retrieval's."""
    measures = [*values.get(RETRIEVAL, ())]
    made = Report(task, options.part, np.array(units), notes, {"mean (95% interval)": measures}, reference=RETRIEVAL)
    for label, found in values.items():
        add_means(made, label, found, options)
    rng = np.random.default_rng(options.seed)
    made.compared = compare(made.values, RETRIEVAL, measures[:n_compared], options.n_resamples, rng)
    return made


def of_turns(chosen: Sequence[Reranked]) -> str:
    """Return how the re-ranking went: shares of the statuses, tokens and seconds a turn."""
    statuses = Counter(one.status.partition(",")[0] for one in chosen)
    shares = ", ".join(f"{status} {n / len(chosen):.0%}" for status, n in statuses.most_common())
    seconds = np.quantile([one.seconds for one in chosen], [0.5, 0.99])
    tokens = np.mean([one.tokens for one in chosen])
    return f"{shares}; {tokens:,.0f} tokens a turn; {seconds[0]:.3f} s, {seconds[1]:.3f} s at p99"


def judged(client: RecordedClient, moments: list[Moment], lists: Lists, label: str, options: Options) -> Report:
    """Return the marks of the lists of a re-ranker and of the order of retrieval."""
    client.run, marks, units = 0, [], []
    for number, moment in enumerate(with_progress(moments, f"judging {label}")):
        pair = [[f"{one.movie}: {one.because}" for one in lists[name][number]] for name in (RETRIEVAL, label)]
        found = evaluation.judge(client, moment.chat.about(moment.state, LLMReranker.name), pair)
        if found is not None:
            marks.append(found)
            units.append(f"{moment.unit}, {number}")
    notes, values = [f"{len(marks):,} of {len(moments):,} moments have all marks of {client.model}, in both orders"], {}
    if marks:
        table = np.stack(marks)  # (n, 2 runs, 2 lists, 5)
        agreed = ", ".join(f"{name} {value:.2f}" for name, value in evaluation.agreement(table).items())
        notes.append(f"agreement of both orders: {agreed}")
        means = table.mean(axis=1)
        values = {name: dict(zip(evaluation.MARKS, means[:, place].T)) for place, name in enumerate((RETRIEVAL, label))}
    return against(f"judge, {label}", options, units, notes, values, len(evaluation.MARKS))


def samples(moments: list[Moment], lists: Lists) -> str:
    """Return what ten moments, evenly chosen, would show by each re-ranker, in Markdown."""
    lines = [TITLE]
    for place in np.unique(np.linspace(0, len(moments) - 1, N_SAMPLES).astype(int)).tolist():
        moment = moments[place]
        lines += ["", f"## {moment.unit}, after {moment.state.memory.n_messages} messages", ""]
        known = moment.chat.about(moment.state, LLMReranker.name)
        lines += [f"- {name}: {plain(value)}" for name, value in known.items() if value]
        for label, shown in lists.items():
            lines += ["", f"**{label}**", ""]
            for number, one in enumerate(shown[place], 1):
                liked = " (liked)" if moment.chat.catalog.row_of(one.movie.movie_id) in moment.relevant else ""
                lines.append(f"{number}. {plain(one.movie)}{liked}: {plain(one.because)}")
    return "\n".join(lines) + "\n"


def plain(text: object) -> str:
    """Return a text as one line that Markdown shows as it is."""
    return re.sub(r"([\\*_\[\]#|~])", r"\\\1", clean(text, 400))


if __name__ == "__main__":
    cli.run(main)
