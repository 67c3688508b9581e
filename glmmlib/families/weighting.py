"""What a prior weight does to the terms of its row."""


def times(values, weights):
    """Values times their weights; None stands for ones."""
    return values if weights is None else values * weights


def over(values, weights):
    """Values over their weights; None stands for ones."""
    return values if weights is None else values / weights


def weighted(terms, weights):
    """Every derivative of a log-density times its prior weight."""
    if weights is None:
        return terms
    return type(terms)(*(None if term is None else term * weights for term in terms))
