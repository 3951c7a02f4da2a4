"""Writes a trained classifier as `strongroom detector import` reads it: a safetensors file, docs/bring-your-own-sae.md.

    from export_classifiers import export
    export(model, "classifier.safetensors", latents=chosen)

scikit-learn: LogisticRegression, DecisionTreeClassifier, RandomForestClassifier, ExtraTreesClassifier, GradientBoostingClassifier,
HistGradientBoostingClassifier. LightGBM: LGBMClassifier or a Booster. The model is handed over as the object it is in your own Python: no
pickle is opened here, and none is written.

What the file says is what `predict_proba` says, to f32. Trees compare f32 inputs with f64 thresholds; a threshold is rounded down to f32, and
then `x <= threshold` decides the same for every f32.
"""

import json

import numpy as np
from safetensors.numpy import save_file

LARGEST = np.finfo(np.float32).max


class NotExported(ValueError):
    """A model, or something in it, that the format has no place for."""


def export(model, path, latents=None, classes=None) -> None:
    """latents: the number, in the whole autoencoder, of the latent that each column of the training data was; not needed where each latent
    was a column. classes: names in place of the model's own, in its order."""
    tensors, described = parts(model)
    names = [str(name) for name in (described.pop("classes") if classes is None else classes)]
    described.pop("classes", None)
    outputs = len(tensors["bias"] if "bias" in tensors else tensors["base"])
    if len(names) != outputs:
        raise NotExported(f"{outputs} classes have {len(names)} names")
    if latents is not None:
        tensors["latents"] = np.asarray(latents, np.uint32)
        if tensors["latents"].shape != (described["columns"],):
            raise NotExported(f"{described['columns']} columns have {len(latents)} latents")
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise NotExported(f"{name} is not finite in f32")
    # The writer takes the bytes as they lie, and scikit-learn's may lie column by column.
    tensors = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    save_file(tensors, path, metadata={"strongroom.classifier": json.dumps({"format": 1, **described, "classes": names})})


def parts(model) -> tuple[dict, dict]:
    kind = type(model).__name__
    if kind in EXPORTERS:
        return EXPORTERS[kind](model)
    raise NotExported(f"{kind} is not exported here; those that are: {', '.join(EXPORTERS)}")


# Every class has an output, of two classes too: a binary score z becomes the pair (0, z), whose softmax is its sigmoid.


def logistic(model):
    weight, bias = np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)
    if len(model.classes_) == 2:
        weight, bias = np.vstack([0 * weight, weight]), np.array([0, bias[0]])
    elif getattr(model, "multi_class", "auto") == "ovr" or getattr(model, "solver", "") == "liblinear":
        raise NotExported("one-versus-rest of several classes is normalised otherwise: train it multinomial")
    return {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}, described(model, "logistic", "softmax")


def described(model, kind, link, **more):
    package = type(model).__module__.split(".")[0]
    version = __import__(package).__version__
    return {
        "kind": kind, "link": link, **more, "classes": list(model.classes_), "columns": int(model.n_features_in_),
        "made_by": f"{package} {version} {type(model).__name__}",
    }


class Ensemble:
    """Trees, node after node; a node's children come after it."""

    def __init__(self, outputs: int):
        self.outputs = outputs
        self.feature, self.left, self.right, self.threshold, self.value, self.roots = [], [], [], [], [], []

    def add(self, root, node) -> None:
        """node(id): a leaf's values by output, or (feature, threshold, left, right)."""
        self.roots.append(len(self.feature))
        waiting = [(root, None, None)]
        while waiting:
            at, parent, side = waiting.pop()
            here = len(self.feature)
            if parent is not None:
                side[parent] = here
            found = node(at)
            is_leaf = isinstance(found, dict)
            feature, threshold, left, right = (-1, 0.0, None, None) if is_leaf else found
            values = np.zeros(self.outputs)
            if is_leaf:
                for output, value in found.items():
                    values[output] = value
            self.feature.append(feature)
            self.threshold.append(rounded_down(threshold))
            self.left.append(0)
            self.right.append(0)
            self.value.append(values)
            if not is_leaf:
                waiting += [(right, here, self.right), (left, here, self.left)]

    def tensors(self, base) -> dict[str, np.ndarray]:
        ints = {name: np.array(getattr(self, name), np.int32) for name in ("feature", "left", "right", "roots")}
        return ints | {
            "threshold": np.array(self.threshold, np.float32),
            "value": np.array(self.value).astype(np.float32).reshape(-1, self.outputs),
            "base": np.asarray(base, np.float64).astype(np.float32),
        }


def rounded_down(threshold: float) -> np.float32:
    """The largest f32 that is not over it: no f32 lies between the two."""
    if np.isnan(threshold):
        raise NotExported("a threshold is NaN")
    if threshold >= LARGEST:
        return LARGEST  # every finite f32 goes left
    if threshold < -LARGEST:
        raise NotExported("a threshold is below every f32")
    near = np.float32(threshold)
    return np.nextafter(near, np.float32(-np.inf)) if np.float64(near) > threshold else near


def add_sklearn_tree(ensemble: Ensemble, tree, values_of) -> None:
    """tree: sklearn.tree._tree.Tree; values_of(node): a leaf's values by output."""

    def node(i):
        if tree.children_left[i] == -1:
            return values_of(i)
        return int(tree.feature[i]), float(tree.threshold[i]), int(tree.children_left[i]), int(tree.children_right[i])

    ensemble.add(0, node)


def forest(model):
    trees = [model] if hasattr(model, "tree_") else model.estimators_
    if getattr(model, "n_outputs_", 1) != 1:
        raise NotExported("a forest of several outputs is several classifiers")
    ensemble = Ensemble(len(model.classes_))
    for each in trees:
        shares = each.tree_.value[:, 0, :] / each.tree_.value[:, 0, :].sum(1, keepdims=True)
        add_sklearn_tree(ensemble, each.tree_, lambda i, shares=shares: dict(enumerate(shares[i])))
    return ensemble.tensors(np.zeros(ensemble.outputs)), described(model, "trees", "identity", aggregate="mean")


def gradient_boosting(model):
    if model.init_ != "zero" and type(model.init_).__name__ != "DummyClassifier":
        raise NotExported(f"it begins with a {type(model.init_).__name__}, which would have to be exported too")
    base = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]
    is_binary = len(model.classes_) == 2
    # The exponential loss has sigmoid(2 z).
    scale = 2.0 if model.loss == "exponential" else 1.0
    ensemble = Ensemble(len(model.classes_))
    for stage in model.estimators_:
        for output, each in enumerate(stage):
            values = each.tree_.value[:, 0, 0] * model.learning_rate * scale
            add_sklearn_tree(ensemble, each.tree_, lambda i, v=values, o=output + is_binary: {o: v[i]})
    base = np.array([0, base[0] * scale]) if is_binary else base
    return ensemble.tensors(base), described(model, "trees", "softmax", aggregate="sum")


def histogram_boosting(model):
    if model.is_categorical_ is not None and np.any(model.is_categorical_):
        raise NotExported("an activation is no category")
    is_binary = len(model.classes_) == 2
    ensemble = Ensemble(len(model.classes_))
    for stage in model._predictors:
        for output, predictor in enumerate(stage):
            nodes = predictor.nodes

            def node(i, nodes=nodes, output=output + is_binary):
                each = nodes[i]
                if each["is_leaf"]:
                    return {output: float(each["value"])}
                return int(each["feature_idx"]), float(each["num_threshold"]), int(each["left"]), int(each["right"])

            ensemble.add(0, node)
    base = np.asarray(model._baseline_prediction, np.float64).reshape(-1)
    base = np.array([0, base[0]]) if is_binary else base
    return ensemble.tensors(base), described(model, "trees", "softmax", aggregate="sum")


def lightgbm(model):
    booster = getattr(model, "booster_", model)
    dump = booster.dump_model()
    objective, *settings = dump["objective"].split()
    settings = dict(each.split(":") for each in settings if ":" in each)
    if objective not in ("binary", "multiclass", "multiclassova"):
        raise NotExported(f"the objective {objective} has no probabilities of classes")
    if dump.get("average_output"):
        raise NotExported("a random forest of LightGBM averages scores: train boosted trees, or scikit-learn's forest")
    is_binary = objective == "binary"
    scale = float(settings.get("sigmoid", 1))
    ensemble = Ensemble(2 if is_binary else dump["num_class"])
    for i, tree in enumerate(dump["tree_info"]):
        output = 1 if is_binary else i % ensemble.outputs
        scores = scale if objective != "multiclass" else 1.0
        ensemble.add(tree["tree_structure"], lambda node, o=output, s=scores: lightgbm_node(node, o, s))
    if hasattr(model, "classes_"):
        about = described(model, "trees", "softmax", aggregate="sum")
    else:
        about = {
            "kind": "trees", "link": "softmax", "aggregate": "sum", "classes": list(range(ensemble.outputs)),
            "columns": booster.num_feature(), "made_by": f"lightgbm {__import__('lightgbm').__version__} Booster",
        }
    if objective == "multiclassova":
        about["link"] = "sigmoid"
    return ensemble.tensors(np.zeros(ensemble.outputs)), about


def lightgbm_node(node: dict, output: int, scale: float):
    if "leaf_coeff" in node:
        raise NotExported("linear models in leaves have no place in the format")
    if "split_feature" not in node:
        return {output: node["leaf_value"] * scale}
    if node["decision_type"] != "<=":
        raise NotExported("an activation is no category")
    if node["missing_type"] == "Zero":
        raise NotExported("zero_as_missing takes latents that are 0 for missing: train without it")
    return node["split_feature"], float(node["threshold"]), node["left_child"], node["right_child"]


EXPORTERS = {
    "LogisticRegression": logistic,
    "LogisticRegressionCV": logistic,
    "DecisionTreeClassifier": forest,
    "RandomForestClassifier": forest,
    "ExtraTreesClassifier": forest,
    "GradientBoostingClassifier": gradient_boosting,
    "HistGradientBoostingClassifier": histogram_boosting,
    "LGBMClassifier": lightgbm,
    "Booster": lightgbm,
}
