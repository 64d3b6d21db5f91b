import pytest

from jaxmix.runs import RunTableError, read_mixtures


def test_distinct_mixtures_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "next.csv"
    path.write_text("n_params,w_a,w_b\n1e6,0.25,0.75\n2e6,0.25,0.75\n1e6,1,0\n")
    assert read_mixtures(path) == {
        "next-1": {"a": 0.25, "b": 0.75},
        "next-3": {"a": 1.0, "b": 0.0},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_params,tokens\n1,2\n", "no columns w_<domain>"),
        ("w_a,w_b\n0.5,0.2\n", "the weights sum to 0.7"),
        ("w_a,w_b\n0.5,x\n", "'x' is not a number"),
    ],
)
def test_what_is_no_mixture_is_refused(tmp_path, text, message):
    path = tmp_path / "next.csv"
    path.write_text(text)
    with pytest.raises(RunTableError, match=message):
        read_mixtures(path)
