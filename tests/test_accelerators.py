"""Programs for GPUs and TPUs, lowered on this machine: what they hold, and what they must not."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from benchmarks import accelerators
from benchmarks.accelerators import CASES, FIGURES, MAKERS, config_of
from jaxmix.models import PRESETS, family_of, get_preset, text_model, token_likelihood
from jaxmix.placement import Placement, placed
from jaxmix.studies.families import Built, default_length
from jaxmix.studies.plan import member_memory
from jaxmix.training import Fleet, Layout, Member, OptimizerConfig
from jaxmix.training.evaluation import fitting_chunk
from jaxmix.training.program import Program
from jaxmix.training.roofline import program_cost
from jaxmix.training.targets import Target, assumed_cudnn

VOCABULARY, TEXT = 512, 512  # entries, and positions of a row of text
SINGLE = ("llama-412m", "nmm-275m", "lvm-89m", "gpt2-90m")
FLEETS = ("tiny-64", "nmm-tiny-64", "lvm-tiny-64")
PLATFORMS = {"cuda": "gpu", "tpu": "tpu"}


def records(preset, members, count, config):
    """Shapes of a step's records, [M, B, ...]."""
    length = TEXT if family_of(preset) == "text" else default_length(preset)
    return accelerators.records(preset, members, count, config, length)


def built(preset, **overrides):
    config = get_preset(preset, VOCABULARY, length=TEXT, compute="bfloat16", **overrides)
    return MAKERS[family_of(preset)](config), config


def program(preset, platform, members, devices=1, **overrides):
    """A program for a platform that is not here, and the shapes of its batch."""
    model, config = built(preset, **overrides)
    single, chips = members == 1, np.array(jax.devices()[:devices])
    axes = ("data", "fsdp") if single else ("fleet",)
    grid = chips.reshape(1, -1) if single else chips
    mesh = Mesh(grid, axes, axis_types=(AxisType.Auto,) * len(axes))
    layout = Layout(mesh, platform=platform)
    runs = tuple(Member(str(i), i, 1e-3) for i in range(members))
    fleet = Fleet(runs, (1,), 1, OptimizerConfig(1, 0))
    return Program(model, fleet, layout), records(preset, members, 8, config)


@functools.cache
def lowered(preset, platform, members):
    depth = {"depth": 2} | ({"decoder_depth": 2} if family_of(preset) == "vision" else {})
    made, batch = program(preset, PLATFORMS[platform], members, **depth)
    with assumed_cudnn():
        return made, made.lower(batch, (platform,)).as_text()


STEPS = [(p, m) for names, m in ((SINGLE, 1), (FLEETS, 3)) for p in names]
every = pytest.mark.parametrize(
    ("preset", "members", "platform"), [(p, m, on) for p, m in STEPS for on in PLATFORMS]
)


def by_row(product: str) -> bool:
    """Whether a product only multiplies rows with rows, as a kernel's backward pass does."""
    batched = re.search(r"batching_dims = \[([\d, ]*)\]", product)
    operand = re.search(r"tensor<([\dx]*)x\w+>", product.partition(" : ")[2])
    return bool(batched and operand) and (
        len(batched.group(1).split(",")) == len(operand.group(1).split("x")) - 1
    )


@every
def test_products_are_narrow_and_nothing_calls_back(preset, members, platform):
    _, text = lowered(preset, platform, members)
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert products
    assert not [
        line for line in products if "f32>," in line.partition(" : ")[2] and not by_row(line)
    ]
    assert "callback" not in text and "SendToHost" not in text


@every
def test_the_state_is_donated(preset, members, platform):
    made, text = lowered(preset, platform, members)
    donated = text.count("tf.aliasing_output") + text.count("jax.buffer_donor")
    assert donated == len(jax.tree.leaves(made.like[0]))


@pytest.mark.parametrize("preset", SINGLE)
def test_long_rows_have_fused_attention(preset):
    on_gpu = lowered(preset, "cuda", 1)[1]
    assert "__cudnn$fmha" in on_gpu and "Backward" in on_gpu
    if preset == "llama-412m":  # causal, with heads of 128
        assert lowered(preset, "tpu", 1)[1].count("tpu_custom_call") >= 2


@pytest.mark.parametrize("name", [n for n, p in PRESETS.items() if p.scale != "tiny"])
def test_rows_are_aligned(name):
    """Rows of kernels are multiples of 16 bytes in bfloat16; else products are slow."""
    model, _ = built(name)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    kernels = {
        jax.tree_util.keystr(path): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)
        if "kernel" in jax.tree_util.keystr(path)
    }
    assert kernels
    ends = {k: s for k, s in kernels.items() if s[-1] % 8 and "image_head" not in k}
    assert not ends


@pytest.mark.parametrize("preset", SINGLE[:3])
def test_fsdp_moves_parameters_and_gradients_only(preset):
    """Collectives of a step over four devices, against what a gathered model needs."""
    sizes = {"width": 128, "heads": 1, "depth": 2}
    if family_of(preset) == "vision":
        sizes |= {"decoder_width": 128, "decoder_depth": 2, "decoder_heads": 1}
    made, batch = program(preset, "cpu", 1, devices=4, **sizes)
    cost = program_cost(made.lower(batch).compile().as_text(), 1e12, 1e12)
    params = sum(leaf.size * 4 for leaf in jax.tree.leaves(made.like[0].params))
    # Gathered forward and backward, and the gradients once.
    assert sum(cost.collectives.values()) <= 1.3 * 3 * params


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("preset", [*SINGLE[:3], *FLEETS])
def test_evaluation_lowers(preset, platform):
    members = 3 if preset in FLEETS else 1
    made, batch = program(preset, PLATFORMS[platform], members, depth=2)
    model, _ = built(preset, depth=2)
    one = {n: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for n, x in batch.items()}
    run = jax.jit(made.layout.over_members(model.losses, shared=(1,)))
    with assumed_cudnn():
        text = run.trace(made.like[0].params, one).lower(lowering_platforms=(platform,)).as_text()
    assert "callback" not in text


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("preset", [SINGLE[0], FLEETS[0]])
def test_scoring_tasks_lowers(preset, platform):
    made, _ = program(preset, PLATFORMS[platform], 3 if preset in FLEETS else 1, depth=2)
    _, config = built(preset, depth=2)
    one = jax.ShapeDtypeStruct((8, TEXT + 1), jnp.int32), jax.ShapeDtypeStruct((8, TEXT), bool)

    def judge(params, batch):
        return token_likelihood(config, params, *batch)

    run = jax.jit(made.layout.over_members(judge, shared=(1,)))
    with assumed_cudnn():
        text = run.trace(made.like[0].params, one).lower(lowering_platforms=(platform,)).as_text()
    assert "callback" not in text


def test_an_odd_length_lowers():
    model, _ = built("nmm-275m", depth=2)
    odd = 301
    batch = {n: jax.ShapeDtypeStruct((2, odd), jnp.int32) for n in ("tokens", "targets", "counted")}
    batch |= {
        n: jax.ShapeDtypeStruct((2, odd), jnp.int32) for n in ("is_patch", "key_start", "key_end")
    }
    batch["patches"] = jax.ShapeDtypeStruct((2, odd, 588), jnp.uint8)
    params = jax.eval_shape(model.init, jax.random.key(0))

    def loss(params, batch):
        with placed(Placement("gpu")):
            return model.losses(params, batch).sums.sum()

    with assumed_cudnn():
        jax.jit(jax.grad(loss)).trace(params, batch).lower(lowering_platforms=("cuda",))


def test_evaluation_takes_what_fits():
    config = get_preset("llama-412m", 50_000, length=512)
    model = text_model(config)
    mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("data", "fsdp"))
    layout = Layout(mesh, platform="tpu")
    (tokens,) = records("llama-412m", 1, 1, config).values()
    one = {"tokens": jax.ShapeDtypeStruct(tokens.shape[1:], tokens.dtype)}
    logits = 4 * 512 * config.vocab_size
    assert fitting_chunk(model, layout, one, 1, 10 * 3 * logits * 7) == 7
    assert fitting_chunk(model, layout, one, 1, None) == 64
    assert fitting_chunk(model, layout, one, 1, 1.0) == 1


@pytest.mark.parametrize("case", [c for c in CASES if Target.named(c.target).count == 1], ids=str)
def test_the_memory_of_members_is_that_of_compiled_steps(case):
    made = json.loads(FIGURES.read_text()).get(case.name)
    if made is None:
        pytest.skip(f"{case.name} was not compiled")
    config = config_of(case)
    built = Built(MAKERS[family_of(case.preset)](config), config, 1e-3)
    platform = "tpu" if case.target.startswith("v") else "gpu"
    state, step = member_memory(built, case.batch, case.length, platform)
    # TPUs pad narrow rows, and a fleet as small as the vision one matters little.
    rough = {"16xlvm-tiny-128 h200": 0.5, "16xtiny-128 v5e-1": 0.25}
    rough = next((r for start, r in rough.items() if case.name.startswith(start)), 0.15)
    assert case.members * state == pytest.approx(made["state_gib"] * 2**30, rel=0.05)
    wanted = made["peak_gib"] * 2**30
    assert case.members * (state + step) == pytest.approx(wanted, rel=rough)
