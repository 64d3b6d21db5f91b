"""The multimodal study: trains the ladder and the larger size, fits laws, and tests their mixtures.

    python experiments/multimodal/run.py [--work FOLDER] [--smoke | --gpu]

Every stage is resumed where it was stopped; results go to results/.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import stages
from config import GPU, STUDY

if __name__ == "__main__":
    stages.main(STUDY, GPU, __file__, __doc__)
