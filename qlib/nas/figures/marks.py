"""How blocks look in every figure of this topic."""

BLOCKS = {
    # name: (colour, marker, line style)
    "RBM, range 1": ("#3F97D0", "v", (0, (1, 1))),
    "RBM, range 2": ("#0072B2", "^", (0, (3, 1, 1, 1))),
    "RBM, all sites": ("#332288", "o", "-"),
    "MPS": ("#D55E00", "s", "-"),
    "attention": ("#117755", "D", "--"),
    "feed-forward": ("#BE8200", "P", "-."),
    "Jastrow": ("#882255", "X", (0, (6, 2))),
}
OTHER = ("#777777", "*", ":")  # a block of any other name


def of_block(name):
    """Keyword arguments of ``ax.plot`` that mark a block."""
    color, marker, line = BLOCKS.get(name, OTHER)
    return {"color": color, "marker": marker, "linestyle": line}
