"""Learning rates around the paper's rule, .614 / width, at three tiny widths."""

from jaxmix.studies import CorpusSpec, Size, Study

CORPUS = CorpusSpec("text-mini", "bpe-1024")
WIDTHS = (32, 64, 96)
MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)
TOKENS = 400_000
DOMAINS = ("api_docs", "dictionary", "code_python", "code_cpp", "world_facts")


def study(width: int, tokens: float = TOKENS) -> Study:
    """One size; its mixture is uniform."""
    size = Size(f"tiny-{width}", tokens)
    uniform = dict.fromkeys(DOMAINS, 1 / len(DOMAINS))
    return Study(CORPUS, (size,), mixtures={"uniform": uniform}, checkpoints=4, batch=8)
