"""All commands in groups, each in one line, and the examples that end their help.

Nothing is imported for it, so that ``jaxmix --help`` is quick. The examples run in one folder, top
to bottom: ``runs.csv`` is the example table ``text``, ``law.json`` a law that was fitted to it.
"""

GROUPS = {
    "Data and training": {
        "data": "Prepare corpora of named domains.",
        "presets": "List the models that can be trained by name.",
        "train": "Train one model on one mixture.",
        "study": "Plan, train and collect many small runs.",
        "evaluate": "Score trained text models on tasks.",
        "inspect": "Draw what a trained image model sees and writes.",
        "demo": "Go the whole way on real data: train, fit, recommend, verify.",
    },
    "Laws": {
        "check": "Say what a run table can and cannot tell.",
        "fit": "Fit a law to the losses of a run table.",
        "select": "Choose the law that predicts held-out rows best.",
        "compare": "Fit several laws and score them on other rows.",
        "score": "Score a fitted law on other rows.",
        "predict": "Predict losses at given points.",
        "extrapolate": "Extrapolate losses to one N and D, mixture by mixture.",
        "laws": "List the laws.",
    },
    "Mixtures": {
        "recommend": "Recommend a mixture for a big run: start here with a run table.",
        "optimize": "Find the mixture that minimizes a fitted law.",
        "trust": "Say how sure the best mixture is.",
        "pareto": "Trade the losses of several targets against each other.",
        "budget": "Choose N, D and the mixture for a budget of FLOPs.",
        "critical-ratio": "Find how much new data a continued run may take.",
        "next": "Choose the runs to train next.",
        "sample-size": "Say how many mixtures a study needs.",
    },
    "Pages and files": {
        "report": "Write one HTML page on a fitted law and its mixture.",
        "export": "Write a mixture in the format of a trainer.",
        "examples": "List or copy run tables that ship with jaxmix.",
        "import": "Turn tables of other tools into a run table.",
        "domains": "Add, split, merge or remove domains of a run table.",
        "completion": "Print the script that makes a shell complete names and files.",
        "simulate": "Draw a run table from a known law.",
    },
}

EXAMPLES = {
    "presets": ("jaxmix presets --family text",),
    "critical-ratio": (
        "jaxmix critical-ratio law.json --target legal --limit 4.5 --old legal=1 "
        "--new code_python=0.5,code_cpp=0.5 --tokens 200k,400k",
    ),
    "completion": (
        "jaxmix completion bash >> ~/.bashrc",
        "jaxmix completion fish > ~/.config/fish/completions/jaxmix.fish",
    ),
    "check": ("jaxmix check runs.csv",),
    "examples list": ("jaxmix examples list",),
    "examples copy": ("jaxmix examples copy text --out runs.csv",),
    "data prepare": (
        "jaxmix data prepare text-mini",
        "jaxmix data prepare my-texts --tokenizer bpe-8192 --name mine",
        "jaxmix data prepare --domain web=hf:allenai/c4/en --domain code=hf:code.parquet::body "
        "--max-bytes 50M --name mine",
    ),
    "data list": ("jaxmix data list",),
    "data show": ("jaxmix data show text-mini",),
    "data tasks": ("jaxmix data tasks text-mini --count 50 --out tasks.jsonl",),
    "train": (
        "jaxmix train tiny-32 --corpus text-mini --weights api_docs=0.5,code_python=0.5 "
        "--tokens 200k --out run",
        "jaxmix train llama-412m --corpus text --weights legal=1 --tokens 8B --dry-run v5e-8",
    ),
    "study plan": (
        "jaxmix study plan study --corpus text-mini --size tiny-16=100k,tiny-32=200k "
        "--design dirichlet:12 --design vertices",
    ),
    "study run": (
        "jaxmix study run study",
        "jaxmix study run study --shard 1/4 --wandb mixtures",
    ),
    "study script": ("jaxmix study script study --slurm --devices gpu:1 --out study.sh",),
    "study status": ("jaxmix study status study",),
    "study table": ("jaxmix study table study --out runs.csv",),
    "evaluate": ("jaxmix evaluate run --tasks tasks.jsonl --out scores.csv",),
    "inspect": ("jaxmix inspect run --count 4 --out pictures.png",),
    "demo": ("jaxmix demo --quick",),
    "fit": (
        "jaxmix fit runs.csv --law additive --out law.json",
        'jaxmix fit runs.csv --law joint --where "tokens > 1e5" '
        '--held-out "n_params > 3e5" --out joint.json',
    ),
    "select": ("jaxmix select runs.csv --laws additive,joint --out choice.json",),
    "compare": (
        'jaxmix compare runs.csv --laws additive,joint --train "n_params < 3e5" '
        '--test "n_params > 3e5"',
    ),
    "score": ('jaxmix score law.json runs.csv --where "n_params > 3e5"',),
    "predict": (
        "jaxmix predict law.json runs.csv --out predicted.csv",
        "jaxmix predict law.json runs.csv --interval 0.9 --json",
    ),
    "extrapolate": ("jaxmix extrapolate runs.csv --n-params 1M --tokens 4M --out at-1M.csv",),
    "laws": ("jaxmix laws",),
    "recommend": (
        "jaxmix recommend runs.csv --n-params 1M --tokens 4M",
        "jaxmix recommend runs.csv --n-params 1M --tokens 4M --max legal=0.2 "
        "--available music=500k --report page.html",
    ),
    "optimize": (
        "jaxmix optimize law.json --n-params 1M --tokens 4M --within range",
        "jaxmix optimize law.json --n-params 1M --tokens 4M "
        "--target-weights scripture=1,legal=1 --min code_python=0.1",
        "jaxmix optimize law.json --n-params 1M --tokens 4M --within range --path linear "
        "--factors 1,10,100,inf",
    ),
    "trust": (
        "jaxmix trust law.json runs.csv --n-params 1M --tokens 4M --within range "
        "--baseline proportional",
        "jaxmix trust law.json runs.csv --n-params 1M --tokens 4M --within range --influence",
    ),
    "pareto": ("jaxmix pareto law.json --n-params 1M --tokens 4M --targets legal,music",),
    "budget": ("jaxmix budget law.json --flops 1e13,1e14 --within range",),
    "next": (
        "jaxmix next law.json runs.csv --n-params 1M --tokens 4M --count 4 --out plan.csv",
    ),
    "sample-size": ("jaxmix sample-size --domains 4 --mixtures 8,16 --truths 5",),
    "report": (
        "jaxmix report law.json runs.csv --n-params 1M --tokens 4M --within range --out page.html",
    ),
    "export": (
        "jaxmix export legal=0.3,music=0.7 --format levanter --out mixture.yaml",
        "jaxmix export law.json --n-params 1M --tokens 4M --within range --format yaml",
        "jaxmix export legal=0.3,music=0.7 --format energon --epochs --tokens 4M "
        "--available legal=2M,music=1M",
    ),
    "simulate": (
        "jaxmix simulate --law additive --domains web,code,books --noise 0.003 --out drawn.csv",
    ),
    "import columns": (
        'jaxmix import columns theirs.csv --n-params 70M --tokens D --weights "mix/*" '
        '--losses "val/*" --out runs.csv',
    ),
    "import wandb": (
        'jaxmix import wandb team/project --tokens _step --tokens-per-step 1M --n-params N '
        '--weights "mix/*" --losses "eval/*" --out runs.csv',
        "jaxmix import wandb study/wandb --out runs.csv",
    ),
    "import olmix": (
        "jaxmix import olmix ratios.csv metrics.csv --n-params 30M --tokens 3B --out runs.csv",
    ),
    "import regmix": (
        "jaxmix import regmix mixtures.csv losses.csv --n-params 1M --tokens 1B --out runs.csv",
    ),
    "import mixinglaws": (
        "jaxmix import mixinglaws 70M.jsonl 160M.jsonl --domains web,code --out runs.csv",
    ),
    "domains add": ("jaxmix domains add runs.csv books --out with-books.csv",),
    "domains split": (
        "jaxmix domains split runs.csv music scores=0.4,midi=0.6 --out split.csv",
    ),
    "domains merge": (
        "jaxmix domains merge runs.csv code_python,code_cpp code --out merged.csv",
    ),
    "domains remove": ("jaxmix domains remove runs.csv music --tolerance 0.2 --out fewer.csv",),
}  # fmt: skip
