"""The benchmark's file: `python -m benchmarks.data ROWS create|update FILE`. Byte for byte what the yardstick's `data.py` writes: a test compares.

12 columns, `;`, decimal comma, dd/mm/yyyy, `a|b` lists, 5 % blank cells. `update` holds the same customers as `create`, shuffled, with other values.
Deterministic.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

HEADER = "customer_id;email;name;country;city;birth_date;last_purchase;amount;interests;consent;tier;points"
FIRST = [
    "Ana",
    "João",
    "Maria",
    "Pedro",
    "Inês",
    "Luís",
    "Sofia",
    "Rui",
    "Élodie",
    "Jürgen",
    "Søren",
    "Zoë",
    "Ivan",
    "Paul",
    "Emma",
    "Noah",
]
LAST = ["Silva", "Santos", "Ferreira", "Müller", "Nuñez", "Dupont", "Rossi", "Smith", "Jones", "Novák", "Łukasz", "García", "O'Neil"]
CITIES = {
    "PT": ["Lisboa", "Porto"],
    "ES": ["Madrid", "Málaga"],
    "FR": ["Paris", "Nîmes"],
    "DE": ["Berlin", "Köln"],
    "BR": ["São Paulo", "Recife"],
}
INTERESTS = ["books", "music", "travel", "food", "sport", "film", "garden", "tech", "art", "games", "cars", "pets"]
BLANK_CELLS = 0.05


def row(number: int, rnd: random.Random) -> str:
    country = rnd.choice(list(CITIES))
    cells = [
        f"C{number:09d}",
        f"user{number}@example.com",
        f"{rnd.choice(FIRST)} {rnd.choice(LAST)}",
        country,
        rnd.choice(CITIES[country]),
        f"{rnd.randint(1, 28):02d}/{rnd.randint(1, 12):02d}/{rnd.randint(1940, 2007)}",
        f"{rnd.randint(1, 28):02d}/{rnd.randint(1, 12):02d}/2026 {rnd.randint(0, 23):02d}:{rnd.randint(0, 59):02d}:00",
        f"{rnd.randint(0, 999)},{rnd.randint(0, 99):02d}",
        "|".join(rnd.sample(INTERESTS, rnd.randint(1, 4))),
        rnd.choice(["newsletter", "ads", ""]),
        rnd.choice(["bronze", "silver", "gold"]),
        str(rnd.randint(0, 5000)),
    ]
    return ";".join(cell if place < 2 or rnd.random() > BLANK_CELLS else "" for place, cell in enumerate(cells))


def write(rows: int, kind: str, path: Path) -> None:
    rnd = random.Random(1 if kind == "create" else 2)
    order = list(range(rows))
    if kind == "update":
        rnd.shuffle(order)
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(HEADER + "\n")
        out.writelines(row(number, rnd) + "\n" for number in order)


if __name__ == "__main__":
    write(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
