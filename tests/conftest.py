"""One thread: the tests' tensors are small, and the last bits of a sum do not depend on the machine's cores then."""

import torch

torch.set_num_threads(1)
