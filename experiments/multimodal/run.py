"""The multimodal study: trains the ladder and the larger size, fits laws, and tests their mixtures.

    python -m experiments.multimodal.run [--work FOLDER] [--smoke | --gpu]

Every stage is resumed where it was stopped; results go to results/.
"""

from experiments import stages
from experiments.multimodal.config import GPU, STUDY

if __name__ == "__main__":
    stages.main(STUDY, GPU, __file__, __doc__)
