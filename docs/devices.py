"""Train `RecommenderNet` in several processes, which may be on several machines.

Start one for each number:

    python devices.py SHARDS OUT 0 127.0.0.1:12345 127.0.0.1:12346
    python devices.py SHARDS OUT 1 127.0.0.1:12345 127.0.0.1:12346

SHARDS is a folder that `write_shards(…, seed=0)` or `shard_file` made; each process
reads its share of the files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator

folder, out, rank, addresses = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
cluster = {'worker': addresses}
task = {'type': 'worker', 'index': rank}
os.environ['TF_CONFIG'] = json.dumps({'cluster': cluster, 'task': task})

import keras
import numpy as np
import tensorflow as tf

# before anything else is asked of TensorFlow
strategy = tf.distribute.MultiWorkerMirroredStrategy()

from mf_movielens.model import RecommenderNet
from mf_movielens.shards import Shards
from mf_movielens.training import RECIPES, inputs_and_targets, to_factors

recipe = RECIPES['tuned']
shards = Shards(folder)
n_processes = len(addresses)
# All processes together take as many ratings a step as a single one would
batch_size = recipe.batch_size // n_processes

Batch = tuple[np.ndarray, np.ndarray]


def files_of_epoch(epoch: int) -> list[np.ndarray]:
    """Return the files of each process: they change hands, so in time all are read."""
    order = np.random.default_rng(epoch).permutation(len(shards.sizes))
    return [order[process::n_processes] for process in range(n_processes)]


def n_steps(epoch: int) -> int:
    """Return how many steps all processes can make in an epoch."""
    return min(
        sum(shards.sizes[file] // batch_size for file in files)
        for files in files_of_epoch(epoch)
    )


def check_shards(n_steps_in_all: int) -> None:
    """Refuse shards that cannot be read by that many processes."""
    if not shards.is_shuffled:
        sys.exit(
            f'{folder} keeps its ratings in their original order; '
            'write_shards(…, seed=0) shuffles them'
        )
    if not n_steps_in_all:
        sys.exit(
            f'{folder} has {len(shards.sizes)} files, the largest of '
            f'{max(shards.sizes):,} ratings: too few files for {n_processes} '
            f'processes, or too small ones for {batch_size} ratings a step'
        )


def make_net(n_steps_in_all: int) -> tuple[RecommenderNet, keras.Optimizer]:
    """Make the network and its optimizer, which all processes share."""
    with strategy.scope():
        net = RecommenderNet(
            len(shards.users),
            len(shards.items),
            recipe.n_factors,
            shards.mean,
            reg=recipe.reg,
            bias_reg=recipe.bias_reg,
        )
        schedule = keras.optimizers.schedules.CosineDecay(
            recipe.learning_rate, n_steps_in_all
        )
        optimizer = keras.optimizers.Adam(schedule)
        optimizer.build(net.trainable_variables)
    return net, optimizer


def make_step(
    net: RecommenderNet, optimizer: keras.Optimizer
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the function that takes one step in all processes together."""

    def step_of_process(rows: tf.Tensor, ratings: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            residuals = net(rows, training=True) - ratings
            loss = tf.reduce_mean(residuals**2) + sum(net.losses)
        variables = [variable.value for variable in net.trainable_variables]
        gradients = tape.gradient(loss, variables)
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        replicas = tf.distribute.get_replica_context()
        averaged = replicas.all_reduce('MEAN', dense)
        optimizer.apply(averaged, net.trainable_variables)
        return loss

    @tf.function
    def step(rows: tf.Tensor, ratings: tf.Tensor) -> tf.Tensor:
        return strategy.run(step_of_process, args=(rows, ratings))

    return step


def batches(epoch: int) -> Iterator[Batch]:
    """Give the batches of this process, each file shuffled in itself."""
    for file in files_of_epoch(epoch)[rank]:
        part = shards.read(file)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(part)), seed=[epoch, int(file)]
        )
        rows, ratings = inputs_and_targets(part.take(order.numpy()), recipe)
        for first in range(0, len(part) - batch_size + 1, batch_size):
            chosen = slice(first, first + batch_size)
            yield rows[chosen], ratings[chosen]


def main() -> None:
    """Train, and save the factors in the first process."""
    epochs = range(recipe.n_iterations)
    n_steps_in_all = sum(map(n_steps, epochs))
    check_shards(n_steps_in_all)
    net, optimizer = make_net(n_steps_in_all)
    step = make_step(net, optimizer)
    for epoch in epochs:
        for _, (rows, ratings) in zip(range(n_steps(epoch)), batches(epoch)):
            loss = step(tf.constant(rows), tf.constant(ratings))
        print(f'process {rank}, epoch {epoch + 1}: {float(loss):.4f}', flush=True)
    factors = to_factors(net, shards.scale)
    total = float(factors.user_factors.sum() + factors.item_factors.sum())
    print(f'process {rank}: sum of all factors {total:.6f}')
    if rank == 0:
        factors.save(out)


if __name__ == '__main__':
    main()
