"""The independent implementation in these tests is PyTorch; `make test` installs it. One thread is plenty here."""

import torch

torch.set_num_threads(1)
