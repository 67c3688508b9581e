"""Match a frozen fit with ours: grouping factors, random-effects columns and levels, each written in another
order.
"""

import re

import numpy as np

from support import reference_values as rv


def parts(name):
    """``c:(b:a)`` and ``a:b:c`` name one factor."""
    return re.sub(r"[()]", "", name).split(":")


def column_key(name):
    return rv._key(re.sub(r'dummy\((\w+), ?"(\w+)"\)', r"\1\2", name))


def groups_by_name(fit):
    """Our groups, by the set of columns that make up the grouping factor."""
    return {frozenset(parts(g.name)): g for g in fit.groups}


def matched(ref, fit):
    """Yield (reference's ranef entry, our position, our columns in its order, our rows in its order)."""
    for entry in ref["ranef"]:
        theirs = parts(entry["group"])
        position, group = next(
            (k, g) for k, g in enumerate(fit.groups) if frozenset(parts(g.name)) == set(theirs)
        )
        own = [column_key(c) for c in group.columns]
        columns = [own.index(column_key(c)) for c in entry["columns"]]
        assert sorted(columns) == list(range(group.q))
        labels = [str(level) for level in entry["levels"]]
        if len(theirs) > 1:
            turn = [theirs.index(part) for part in parts(group.name)]
            labels = [":".join(np.array(label.split(":"))[turn]) for label in labels]
        levels = {str(level): j for j, level in enumerate(group.levels)}
        yield entry, position, columns, [levels[label] for label in labels]


def conditional_covariances(entry):
    """Yield (columns, (q, q, J) array): lme4 has the blocks of ``||`` one by one, and of dummies none."""
    frozen, q = entry["condVar"], len(entry["columns"])
    if isinstance(frozen, dict):
        for name, block in frozen.items():
            yield [entry["columns"].index(name)], np.reshape(block, (1, 1, -1))
    elif frozen is not None:
        yield range(q), np.moveaxis(np.reshape(frozen, (-1, q, q)), 0, -1)
