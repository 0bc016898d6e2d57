"""What stands between a request and the answer, asked without a server."""

import asyncio

import pytest

from mf_movielens.gate import Counters, HostCheck, Limits, RequestLimits

WHOLE = {'type': 'http.request', 'body': b'', 'more_body': False}
GONE = {'type': 'http.disconnect'}


async def answer(scope, receive, send):
    """An ASGI application that reads the body and answers."""
    await receive()
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b''})


async def ask(app, *messages, headers=()):
    """The statuses that a client gets who sends these messages."""
    waiting, statuses = [*messages], []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        if message['type'] == 'http.response.start':
            statuses.append(message['status'])

    scope = {'type': 'http', 'method': 'GET', 'path': '/api/items'}
    await app(scope | {'headers': [*headers]}, receive, send)
    return statuses


def test_who_goes_away_before_the_body_has_come_takes_no_place():
    async def run():
        app = Limits(answer, RequestLimits(at_once=1))
        assert await ask(app, GONE) == []
        assert await ask(app, WHOLE) == [200]

    asyncio.run(run())


def test_an_answer_that_comes_too_late_is_not_sent():
    async def run():
        may_answer, sent = asyncio.Event(), []

        async def slow(scope, receive, send):
            await may_answer.wait()
            await answer(scope, receive, send)
            sent.append('all')

        app = Limits(slow, RequestLimits(seconds=0.01))
        statuses = await ask(app, WHOLE)
        may_answer.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert sent == ['all'] and statuses == [504]
        assert app.n_now == 0

    asyncio.run(run())


@pytest.mark.parametrize('second', [b'localhost', b'evil.example'])
def test_a_request_has_one_host(second):
    hosts = [(b'host', b'localhost'), (b'host', second)]
    app = HostCheck(answer)
    assert asyncio.run(ask(app, WHOLE, headers=hosts[:1])) == [200]
    assert asyncio.run(ask(app, WHOLE, headers=hosts)) == [400]


def test_numbers_of_all_processes_are_added():
    own = Counters(frozenset({'/health'}))
    own.add('/health', 200, 0.5)
    for n_others in (0, 2):
        lines = own.plus([own.to_dict()] * n_others).lines()
        name = 'mf_movielens_request_seconds'
        assert f'{name}_sum{{path="/health"}} {0.5 * (1 + n_others):.6f}' in lines
        assert f'{name}_count{{path="/health"}} {1 + n_others}' in lines
