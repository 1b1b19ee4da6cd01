"""Limits by a Redis client: nothing but the `redis` package, which knows nothing of weir."""
import redis

weir = redis.Redis.from_url("redis://127.0.0.1:6380", decode_responses=True)


def ask(command, **fields):
    """WEIR.CHECK and its kin: names and values in turn, both ways (a map already, if the client speaks RESP3)."""
    reply = weir.execute_command(command, *(word for pair in fields.items() for word in pair))
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))


# A request against the configured rules.
for number in range(1, 7):
    answer = ask("WEIR.CHECK", ip="192.0.2.9", method="GET", path="/items")
    if int(answer["allowed"]):
        print(f"request {number}: allowed, {answer['remaining']} left")
    else:
        print(f"request {number}: denied by {answer['rule']}, again in {answer['retry_after_ms']} ms")

# A cost that is known only later: reserve the most it can be, then commit what it was.
held = ask("WEIR.RESERVE", user="alice", path="/v1/chat", cost=800)
print(f"reserved 800: {held['remaining']} left")
weir.execute_command("WEIR.COMMIT", held["reservation"], 300)
print(f"used 300: {ask('WEIR.PEEK', user='alice', path='/v1/chat', cost=0)['remaining']} left")
