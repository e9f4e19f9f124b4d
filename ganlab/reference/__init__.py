"""The plain loop everybody writes: one seed, ordinary modules, torch.optim, backward. Start reading at `loop.py`.

Every formula is written here again from its paper, independently of the rest of the package, on purpose: this is the oracle
of the equivalence tests and the baseline of the timings. Only the nets, the draws and the game's settings are shared.

- `loop.py`, `losses.py`: the loop, and what each player minimises; all that most GANs need
- `players.py`: the two players, and what the discriminator is shown
- `objectives.py`, `penalties.py`, `regularizers.py`: the terms of the losses
- `optimizers.py`: what torch.optim has not, and the look ahead of unrolled GANs
- `past.py`: running means and slow weights
- `rules.py`: update rules for which one `backward` for each player is not enough
"""

from ganlab.reference.loop import Trained, train

__all__ = ["Trained", "train"]
