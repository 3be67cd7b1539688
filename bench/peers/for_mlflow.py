"""`python -m bench.peers.for_mlflow FOLDER`: writes the model as MLflow wants it; served, it answers with probabilities."""

import sys

import mlflow.sklearn

from bench.peers import shared

if __name__ == "__main__":
    trees = ["sklearn.tree._tree.Tree"]  # of a forest; the model is our own
    mlflow.sklearn.save_model(shared.load(), sys.argv[1], pyfunc_predict_fn="predict_proba", skops_trusted_types=trees)
