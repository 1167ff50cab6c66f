"""The coupon service: a coupon is used once. This is the business alone; what it owes the pattern is in amends.py.

Settings are environment variables: COUPON_LISTEN, COUPON_DATABASE, SUPERVISOR_URL, PRINTER_URL, and SIGNING_KEYS with
one or (while a key is replaced) two keys as the supervisor has them.
"""

import os, sqlite3

from amends import Failure, Participant
from steps import step
from wire import Problem, serve

SCHEMA = """
CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT NOT NULL, cash INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ordered (request TEXT PRIMARY KEY, saga TEXT NOT NULL, copies INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS texts (saga TEXT NOT NULL, text TEXT NOT NULL);
"""
PRINTER = os.environ.get("PRINTER_URL", "http://127.0.0.1:7199")


def redeem(request, body):
    """Uses a coupon. What is returned runs in the transaction of the History row."""
    coupon = body.get("coupon")
    if not isinstance(coupon, str):
        raise Failure("no-coupon", "`coupon` is missing", 400)

    def effect(db):
        try:
            db.execute("INSERT INTO redeemed VALUES (?, ?, ?)", (coupon, request.saga, bool(body.get("cash"))))
        except sqlite3.IntegrityError:
            raise Failure("used", f"coupon `{coupon}` is used already", coupon=coupon)
        return {"redeemed": coupon}

    return effect


def restore(db, saga):
    """Undoes `redeem`, in the transaction that puts up the fence."""
    if db.execute("SELECT 1 FROM redeemed WHERE saga = ? AND cash", (saga,)).fetchone():
        raise Problem("refused", "the coupon was paid out in cash; ask the customer for it")
    db.execute("DELETE FROM redeemed WHERE saga = ?", (saga,))


def order(request, body):
    """Orders printed coupons. Calls come first, and no transaction is open meanwhile."""
    copies = body.get("copies")
    if not isinstance(copies, int):
        raise Failure("no-copies", "`copies` is not a number", 400)
    printed = request.call(PRINTER, "printer", "print", {"copies": copies})

    def effect(db):
        db.execute("INSERT INTO ordered VALUES (?, ?, ?)", (request.id, request.saga, copies))
        return {"ordered": copies, "printed": printed}

    return effect


def cancel(db, saga):
    db.execute("DELETE FROM ordered WHERE saga = ?", (saga,))


def send_apology(db, saga):
    db.execute("INSERT INTO texts VALUES (?, 'Your coupon could not be used. Sorry!')", (saga,))


def count(table):
    return lambda db, saga: {"count": db.execute(f"SELECT count(*) FROM {table} WHERE saga = ?", (saga,)).fetchone()[0]}


if __name__ == "__main__":
    coupon = Participant(
        name="coupon", database=os.environ.get("COUPON_DATABASE", "coupon.sqlite"), schema=SCHEMA,
        actions={"redeem": redeem, "order": order},
        undos={"redeem": restore, "order": cancel},
        notices={"send-apology": send_apology},
        views={"redeemed": count("redeemed"), "ordered": count("ordered"), "texts": count("texts")},
        supervisor=os.environ.get("SUPERVISOR_URL", "http://127.0.0.1:7100"),
        keys=os.environ.get("SIGNING_KEYS", "").split(),
    )
    serve(os.environ.get("COUPON_LISTEN", "127.0.0.1:7103"), coupon, step)
