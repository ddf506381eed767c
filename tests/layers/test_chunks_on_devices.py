"""Chunks of a batch that is spread over devices."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import json, re
    import jax, keras, numpy as np
    from contrast.layers import encode_in_chunks
    from contrast.models import SimCLR

    views = np.random.default_rng(0).normal(size=(32, 2, 6)).astype("float32")

    def encoder():
        return keras.Sequential([keras.Input((6,)), keras.layers.Dense(16, "gelu"), keras.layers.Dense(8)])

    def loss():
        keras.utils.set_random_seed(0)
        model = SimCLR(encoder(), projector=(8, 4), encode_chunk=16)
        model.compile(keras.optimizers.SGD(0.1))
        return model.fit(views, batch_size=32, epochs=3, shuffle=False, verbose=0).history["loss"]

    alone = loss()
    distribution = keras.distribution.DataParallel()
    keras.distribution.set_distribution(distribution)
    spread = loss()

    network = encoder()
    rows = jax.sharding.PartitionSpec("batch")
    layout = jax.sharding.NamedSharding(distribution.device_mesh.backend_mesh, rows)
    x = jax.device_put(views.reshape(64, 6), layout)
    program = jax.jit(lambda x: encode_in_chunks(network, x, 16)).lower(x).compile().as_text()
    moved = sorted(set(re.findall("all-gather|all-to-all|collective-permute|all-reduce", program)))
    print(json.dumps([jax.device_count(), alone, spread, moved]))
"""


@pytest.mark.slow
def test_each_device_has_its_share_of_each_chunk():
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    devices, alone, spread, moved = json.loads(done.stdout.splitlines()[-1])
    assert devices == 4
    assert spread == pytest.approx(alone, rel=1e-5)
    assert spread[-1] < spread[0]
    assert moved == []  # no row goes to another device
