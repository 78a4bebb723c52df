"""Bagging over folds of training and validation rows: what every member of a mixture's library says of rows unseen."""

from experts.bagging.bag import Bag, BaggedExpert, bag_name, load_bagged
from experts.bagging.fitting import bag_fit, fold_view
from experts.bagging.folds import bag_folds, bag_rows
from experts.bagging.honest import HonestBag
from experts.bagging.store import BagStore

__all__ = [
    "Bag",
    "BagStore",
    "BaggedExpert",
    "HonestBag",
    "bag_fit",
    "bag_folds",
    "bag_name",
    "bag_rows",
    "fold_view",
    "load_bagged",
]
