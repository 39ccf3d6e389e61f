"""A blind comparison: shows two pictures side by side and asks which is better.

    scripts/bench blind FOLDER_A FOLDER_B [more folders] [--answers answers.jsonl] [--seed 0] [--judge NAME]
    scripts/bench blind --report answers.jsonl

A page on this machine (127.0.0.1) asks about every file name that two folders share. The sides are drawn by
lot, and the page does not show the folders' names. Each answer is a line of JSON, so a session may be stopped
at any time and continued later. The report gives Bradley–Terry strengths (bradley_terry.py).
"""

import argparse
import json
import os
import random
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from bradley_terry import PRIOR, Comparison, fit, groups
from picture_fronts import markdown

Choice = Literal["left", "right", "tie"]

TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
"""The media types of pictures that a browser shows, by ending."""

Listing: TypeAlias = Mapping[str, Mapping[str, Path]]
"""The files of each folder by name."""

MOST_BYTES = 1000
"""The largest size of a request that sends an answer."""

PAGE = Path(__file__).with_suffix(".html")


class Question(NamedTuple):
    """A file name that two folders share, and the folders of the left and the right picture."""

    name: str
    left: str
    right: str

    @property
    def key(self) -> tuple[str, frozenset[str]]:
        """The same for both arrangements of the question's sides."""
        return self.name, frozenset((self.left, self.right))


class Answer(NamedTuple):
    """A line of the answers' file, without seed and time."""

    question: Question
    choice: Choice
    judge: str


def list_folders(folders: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """The pictures in each folder, by the folder's name, or by its path if two have the same name.

    Raises:
        SystemExit: there are fewer than two folders, or one is named twice or has no pictures.
    """
    if len(folders) < 2:
        raise SystemExit("Name two folders or more, or --report FILE.")
    names = [folder.resolve().name for folder in folders]
    labels = names if len(set(names)) == len(names) else [str(folder) for folder in folders]
    if len(set(labels)) < len(labels):
        raise SystemExit(f"A folder is named twice: {', '.join(labels)}. Name different folders.")
    listing = {}
    for label, folder in zip(labels, folders, strict=True):
        if not folder.is_dir():
            raise SystemExit(f"There is no folder {folder}.")
        files = {path.name: path for path in folder.iterdir() if path.suffix.lower() in TYPES}
        listing[label] = {name: path for name, path in files.items() if path.is_file()}
        if not listing[label]:
            raise SystemExit(f"{folder} has no pictures ({', '.join(TYPES)}).")
    return listing


def draw_questions(listing: Listing, seed: int) -> list[Question]:
    """All questions in random order. Of two folders, each is on the left half of the time.

    The same pictures and seed give the same questions, whatever the order of the folders. With an odd number
    of pictures, the side of the last is drawn by lot as well.
    """
    questions = []
    for first, second in combinations(sorted(listing), 2):
        names = sorted(set(listing[first]) & set(listing[second]))
        lots = random.Random(f"{seed}\0{first}\0{second}")
        stays = [index % 2 == 0 for index in range(len(names))]
        if len(names) % 2 and lots.random() < 0.5:
            stays[-1] = not stays[-1]
        lots.shuffle(stays)
        for name, stay in zip(names, stays, strict=True):
            questions.append(Question(name, first, second) if stay else Question(name, second, first))
    random.Random(seed).shuffle(questions)
    return questions


def read_answers(path: Path) -> list[Answer]:
    """The answers in a file. Other lines are skipped, such as one that a killed session left unfinished."""
    if not path.is_file():
        return []
    lines = path.read_bytes().decode(errors="replace").split("\n")
    return [answer for line in lines if (answer := _answer(line)) is not None]


def _answer(line: str) -> Answer | None:
    try:
        values = json.loads(line)
        question = Question(*(str(values[name]) for name in Question._fields))
        choice, judge = values["answer"], str(values.get("judge", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return Answer(question, choice, judge) if choice in get_args(Choice) else None


def append_answer(path: Path, answer: Answer, seed: int) -> None:
    """Append an answer as one line, in one write, and sync the file.

    If the last line is unfinished, the answer starts a new one.

    Raises:
        OSError: the file cannot be written.
    """
    values = {
        **answer.question._asdict(),
        "answer": answer.choice,
        "judge": answer.judge,
        "seed": seed,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    line = json.dumps(values).encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        written = os.write(descriptor, line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes of an answer went into {path}")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Session:
    """The questions to one judge, and their answers.

    Args:
        listing: the pictures.
        path: the answers' file. Questions that this judge has answered in it are not asked again.
        seed: of the order and the sides.
        judge: the judge's name.
    """

    def __init__(self, listing: Listing, path: Path, *, seed: int = 0, judge: str = "") -> None:
        self.listing, self.path, self.seed, self.judge = listing, path, seed, judge
        self.questions = draw_questions(listing, seed)
        self._answered = {answer.question.key for answer in read_answers(path) if answer.judge == judge}
        self._lock = threading.Lock()

    def state(self) -> dict[str, Any]:
        """The page's data: the next question's index (None at the end), and the numbers done and in all."""
        remaining = [
            index for index, question in enumerate(self.questions) if question.key not in self._answered
        ]
        total = len(self.questions)
        return {"index": remaining[0] if remaining else None, "done": total - len(remaining), "total": total}

    def picture(self, index: int, side: str) -> Path:
        """The picture on one side of a question.

        Raises:
            LookupError: there is no such question or side.
        """
        if not 0 <= index < len(self.questions) or side not in ("left", "right"):
            raise LookupError(f"no picture {index} {side}")
        question = self.questions[index]
        return self.listing[question.left if side == "left" else question.right][question.name]

    def answer(self, index: int, choice: Choice) -> bool:
        """Keep an answer. Returns False if the question has been answered before.

        Raises:
            LookupError: there is no such question or choice.
            OSError: the file cannot be written.
        """
        if not 0 <= index < len(self.questions) or choice not in get_args(Choice):
            raise LookupError(f"no answer {index} {choice}")
        question = self.questions[index]
        with self._lock:
            if question.key in self._answered:
                return False
            append_answer(self.path, Answer(question, choice, self.judge), self.seed)
            self._answered.add(question.key)
        return True


def serve(session: Session, port: int) -> ThreadingHTTPServer:
    """A server of the page, for this machine only. Port 0 takes a free port."""
    page = PAGE.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = self.path.strip("/").split("/")
            if not self._is_local():
                self._send(403, b"", "text/plain")
            elif parts == [""]:
                self._send(200, page, "text/html; charset=utf-8")
            elif parts == ["state"]:
                self._send_json(session.state())
            elif len(parts) == 3 and parts[0] == "picture" and parts[1].isdecimal():
                try:
                    path = session.picture(int(parts[1]), parts[2])
                    self._send(200, path.read_bytes(), TYPES[path.suffix.lower()])
                except (LookupError, OSError):
                    self._send(404, b"", "text/plain")
            else:
                self._send(404, b"", "text/plain")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not self._is_local() or self.headers.get("Content-Type") != "application/json":
                return self._send(403, b"", "text/plain")
            if self.path != "/answer" or not length.isdecimal() or int(length) > MOST_BYTES:
                return self._send(404, b"", "text/plain")
            try:
                values = json.loads(self.rfile.read(int(length)))
                session.answer(int(values["index"]), values["choice"])
            except (LookupError, ValueError, TypeError):
                return self._send(400, b"", "text/plain")
            return self._send_json(session.state())

        def _is_local(self) -> bool:
            """Whether the request comes from a page of this server, under its own name."""
            hosts = {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}  # type: ignore[attr-defined]
            origin = self.headers.get("Origin")
            return self.headers.get("Host") in hosts and origin in (
                None,
                *(f"http://{host}" for host in hosts),
            )

        def _send_json(self, values: Mapping[str, Any]) -> None:
            self._send(200, json.dumps(values).encode(), "application/json")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: object) -> None:
            """Say nothing: the console is for the address."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def comparisons_of(answers: Iterable[Answer]) -> list[Comparison]:
    """Answers as comparisons. Of several answers by one judge to a question, the first counts."""
    first: dict[Any, Answer] = {}
    for answer in answers:
        first.setdefault((answer.judge, answer.question.key), answer)
    won = {"left": 1.0, "right": 0.0, "tie": 0.5}
    return [
        Comparison(answer.question.left, answer.question.right, won[answer.choice])
        for answer in first.values()
    ]


def report(answers: Sequence[Answer]) -> str:
    """Strengths and preferences as Markdown.

    Raises:
        SystemExit: there are no answers.
    """
    comparisons = comparisons_of(answers)
    if not comparisons:
        raise SystemExit("There are no answers yet.")
    systems = sorted({name for comparison in comparisons for name in comparison[:2]})
    strengths = fit(systems, comparisons)
    systems.sort(key=lambda name: -strengths.interval(name)[0])
    rows, pairs = [], []
    for system in systems:
        played = [comparison for comparison in comparisons if system in comparison[:2]]
        value, low, high = strengths.interval(system)
        won = f"{_won(system, played):g}"
        rows.append([system, str(len(played)), won, f"{value:.2f}", f"{low:.2f} to {high:.2f}"])
    for first, second in combinations(systems, 2):
        played = [comparison for comparison in comparisons if {first, second} == set(comparison[:2])]
        share, low, high = strengths.preferred(first, second)
        counted = f"{_won(first, played):g} of {len(played)}"
        pairs.append([f"{first} to {second}", counted, f"{share:.0%}", f"{low:.0%} to {high:.0%}"])
    left = sum(c.won for c in comparisons)
    text = [
        markdown(["system", "comparisons", "won", "strength", "95 %"], rows),
        markdown(["preferred", "counted", "estimated", "95 %"], pairs),
        f"Bradley–Terry, log-odds with mean 0; ties count half; prior: {PRIOR:g} tied comparison of each "
        "system with one of strength 0. Intervals come from the Fisher information, as if all answers were "
        "independent. "
        f"The left picture was preferred in {left:g} of {len(comparisons)}.\n",
    ]
    if len(linked := groups(systems, comparisons)) > 1:
        listed = "; ".join(", ".join(sorted(group)) for group in linked)
        text.append(f"Strengths of different groups cannot be compared. The groups: {listed}.\n")
    return "\n".join(text)


def _won(system: str, comparisons: Iterable[Comparison]) -> float:
    """How many of its comparisons a system won; a tie counts as a half."""
    return sum(won if first == system else 1 - won for first, _, won in comparisons)


def main() -> None:
    """Read the command line and ask, or report the votes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="*", help="folders of pictures with the same file names")
    parser.add_argument(
        "--answers", type=Path, default=Path("answers.jsonl"), help="file of answers [answers.jsonl]"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the order and the sides [0]")
    parser.add_argument("--judge", default="", help="name of the judge; each judge is asked everything once")
    parser.add_argument("--port", type=int, default=0, help="port of the page [0: a free one]")
    parser.add_argument(
        "--report", type=Path, metavar="ANSWERS", help="print the report of a file of answers"
    )
    chosen = parser.parse_args()
    if chosen.report:
        print(report(read_answers(chosen.report)))
        return
    session = Session(list_folders(chosen.folders), chosen.answers, seed=chosen.seed, judge=chosen.judge)
    state = session.state()
    if not state["total"]:
        raise SystemExit("The folders have no file name in common.")
    print(f"{state['done']} of {state['total']} questions are answered. Answers go to {chosen.answers}.")
    server = serve(session, chosen.port)
    print(f"http://127.0.0.1:{server.server_port}/  (Ctrl-C ends)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
