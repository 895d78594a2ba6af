import asyncio, json, random, resource, statistics, sys, time

from sqlalchemy import BigInteger, Column, MetaData, Table, insert, select, update
from sqlalchemy.ext.asyncio import create_async_engine

ACCOUNTS = 10_000
url, kind, tasks, sessions, warm_up, window = sys.argv[1:7]
meta = MetaData()
account = Table("account", meta, Column("id", BigInteger, primary_key=True), Column("balance", BigInteger))
ledger = Table("ledger", meta, Column("debtor", BigInteger), Column("creditor", BigInteger), Column("cents", BigInteger))


async def touch(engine):
    async with engine.begin() as on:
        row = await on.execute(select(account.c.balance).where(account.c.id == random.randint(1, ACCOUNTS)))
        row.one()


async def add(on, id, cents):
    done = await on.execute(update(account).where(account.c.id == id).values(balance=account.c.balance + cents))
    assert done.rowcount == 1


async def transfer(engine):
    low = random.randint(1, ACCOUNTS - 1)
    high, cents = random.randint(low + 1, ACCOUNTS), random.randint(-500, 500)
    async with engine.begin() as on:
        await add(on, low, -cents)
        await add(on, high, cents)
        await on.execute(insert(ledger).values(debtor=low, creditor=high, cents=cents))


async def main():
    engine = create_async_engine(url, pool_size=int(sessions), max_overflow=0)
    once = {"touch": touch, "transfer": transfer}[kind]
    state = {"measured": False, "over": False, "all": 0}
    latencies = []

    async def work():
        while not state["over"]:
            begun = time.perf_counter()
            await once(engine)
            state["all"] += 1
            if state["measured"]:
                latencies.append(time.perf_counter() - begun)

    def cpu():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    work = [asyncio.create_task(work()) for _ in range(int(tasks))]
    await asyncio.sleep(float(warm_up))
    state["measured"], before, begun = True, cpu(), time.perf_counter()
    await asyncio.sleep(float(window))
    state["measured"], used, seconds = False, cpu() - before, time.perf_counter() - begun
    state["over"] = True
    await asyncio.gather(*work)
    await engine.dispose()
    cuts = statistics.quantiles(latencies, n=100)
    print(json.dumps({"all": state["all"], "finished": len(latencies), "seconds": seconds, "cpu": used,
                      "p50": cuts[49] * 1e6, "p99": cuts[98] * 1e6, "worst": max(latencies) * 1e6}))


asyncio.run(main())
