"""Training on many devices, in one process or several, with the numbers of a training on one.

```python
replicas = contrast.distribution.start()
with replicas.scope():
    model = ...
    model.compile(...)
    replicas.prepare(model)
    model.fit(replicas.batches(data))
```

The guide is `docs/many_devices.md`. `python -m contrast.distribution --processes 2 train.py` runs a program
in several processes of this machine.
"""

from contrast.backend import gather
from contrast.distribution.batch_norm import BATCH_NORM
from contrast.distribution.launcher import launch
from contrast.distribution.replica_batches import ReplicaBatches
from contrast.distribution.replicas import Replicas, gpu_count, start

__all__ = ["BATCH_NORM", "ReplicaBatches", "Replicas", "gather", "gpu_count", "launch", "start"]
