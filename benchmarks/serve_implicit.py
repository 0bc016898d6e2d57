"""Serve factors by implicit: `python serve_implicit.py ARRAYS PORT WORKERS`.

It runs in the environment of the peer, in which fastapi and uvicorn are installed, and
answers the two questions that `serve.py` asks, in the same form.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits


def make_app() -> FastAPI:
    """The application, with the arrays that the environment names."""
    arrays = np.load(os.environ['SERVE_IMPLICIT'])
    model = AlternatingLeastSquares(factors=arrays['item_factors'].shape[1])
    model.user_factors, model.item_factors = (
        arrays['user_factors'],
        arrays['item_factors'],
    )
    shape = len(model.user_factors), len(model.item_factors)
    parts = arrays['rating'], arrays['item'], arrays['start']
    seen = csr_matrix(parts, shape=shape)
    threadpool_limits(1)
    app = FastAPI()

    def rows(found: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
        pairs = zip(found[0].tolist(), found[1].tolist())
        listed = [
            {'rank': rank, 'item': item + 1, 'score': score}
            for rank, (item, score) in enumerate(pairs, 1)
        ]
        return {'recommendations': listed}

    @app.get('/health')
    async def health() -> dict[str, str]:
        return {'status': 'ok'}

    @app.get('/api/recommend')
    def recommend(user: int, k: int = 10) -> dict[str, Any]:
        return rows(model.recommend(user - 1, seen[user - 1], N=k))

    @app.post('/api/fold-in')
    def fold_in(body: dict[str, Any]) -> dict[str, Any]:
        items = [row['item'] - 1 for row in body['ratings']]
        values = np.array([row['rating'] for row in body['ratings']], 'float32')
        one = csr_matrix((values, items, [0, len(items)]), shape=(1, shape[1]))
        return rows(model.recommend(0, one, N=body['k'], recalculate_user=True))

    return app


def bind_without_delay(config: uvicorn.Config) -> socket.socket:
    """The socket of several workers, which otherwise hold back a part of an answer."""
    listener = bind(config)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


bind = uvicorn.Config.bind_socket


if __name__ == '__main__':
    uvicorn.Config.bind_socket = bind_without_delay
    os.environ['SERVE_IMPLICIT'], port, workers = sys.argv[1:]
    uvicorn.run(
        'serve_implicit:make_app',
        factory=True,
        port=int(port),
        workers=int(workers),
        log_level='warning',
        access_log=False,
    )
