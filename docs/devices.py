"""Train `RecommenderNet` in several processes, which may be on several machines.

Start one for each number:

    python devices.py SHARDS OUT 0 127.0.0.1:12345 127.0.0.1:12346
    python devices.py SHARDS OUT 1 127.0.0.1:12345 127.0.0.1:12346

SHARDS is a folder that `write_shards(…, seed=0)` or `shard_file` made; each process reads its share of the files.
"""

import json, os, sys

folder, out, rank, places = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
os.environ['TF_CONFIG'] = json.dumps(
    {'cluster': {'worker': places}, 'task': {'type': 'worker', 'index': rank}}
)

import keras
import numpy as np
import tensorflow as tf

strategy = (
    tf.distribute.MultiWorkerMirroredStrategy()
)  # before anything else is asked of TensorFlow

from mf_movielens.model import RecommenderNet
from mf_movielens.shards import Shards
from mf_movielens.training import RECIPES, inputs_and_targets, to_factors

recipe, shards, n = RECIPES['tuned'], Shards(folder), len(places)
batch = (
    recipe.batch_size // n
)  # all processes together take as many ratings a step as one would
if not shards.dealt:
    sys.exit(
        f'{folder} keeps its ratings in their first order; write_shards(…, seed=0) deals them out'
    )


def plan(epoch):
    "The files of each process in this epoch, and how many steps they all can make: the files change hands, so that in time all are read."
    order = np.random.default_rng(epoch).permutation(len(shards.sizes))
    files = [order[r::n] for r in range(n)]
    return files, min(sum(shards.sizes[j] // batch for j in own) for own in files)


steps = sum(plan(epoch)[1] for epoch in range(recipe.n_iterations))
if not steps:
    sys.exit(
        f'{folder} has {len(shards.sizes)} files, the largest of {max(shards.sizes):,} ratings: too few files for {n} processes, or too small ones for {batch} ratings a step'
    )

with strategy.scope():
    net = RecommenderNet(
        len(shards.users),
        len(shards.items),
        recipe.n_factors,
        shards.mean,
        reg=recipe.reg,
        bias_reg=recipe.bias_reg,
    )
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    )
    optimizer.build(net.trainable_variables)


@tf.function
def step(pairs, stars):
    "One step of all processes together."

    def own(pairs, stars):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((net(pairs, training=True) - stars) ** 2) + sum(
                net.losses
            )
        gradients = [
            tf.convert_to_tensor(g)
            for g in tape.gradient(loss, [v.value for v in net.trainable_variables])
        ]
        optimizer.apply(
            tf.distribute.get_replica_context().all_reduce('MEAN', gradients),
            net.trainable_variables,
        )
        return loss

    return strategy.run(own, args=(pairs, stars))


def batches(epoch, files):
    "Batches of this process, each file shuffled in itself."
    for j in files:
        part = shards.read(j)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(part)), seed=[epoch, int(j)]
        ).numpy()
        pairs, stars = inputs_and_targets(part.take(order), recipe)
        for at in range(0, len(part) - batch + 1, batch):
            yield pairs[at : at + batch], stars[at : at + batch]


for epoch in range(recipe.n_iterations):
    files, most = plan(epoch)
    for _, (pairs, stars) in zip(range(most), batches(epoch, files[rank])):
        loss = step(tf.constant(pairs), tf.constant(stars))
    print(f'process {rank}, epoch {epoch + 1}: {float(loss):.4f}', flush=True)
factors = to_factors(net, shards.scale)
print(
    f'process {rank}: sum of all factors {float(factors.user_factors.sum() + factors.item_factors.sum()):.6f}'
)
if rank == 0:
    factors.save(out)
