"""What a training job does with transformers: small models made on the spot, saved, pushed and loaded."""

import torch
from huggingface_hub import HfApi
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertTokenizerFast,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainingArguments,
)

from steps import Heard, folder, run, same, step

api = HfApi()
BERT, LLAMA, TRAINED = "acme/tiny-bert", "acme/tiny-llama", "acme/trained"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}

torch.manual_seed(1)
bert = BertModel(BertConfig(vocab_size=64, max_position_embeddings=32, **SMALL))
llama = LlamaForCausalLM(LlamaConfig(vocab_size=256, max_position_embeddings=32, tie_word_embeddings=False, **SMALL))


def same_weights(model, other):
    state, loaded = model.state_dict(), other.state_dict()
    same(sorted(loaded), sorted(state))
    same([name for name in state if not torch.equal(state[name], loaded[name])], [])


@step
def push_bert():
    """A model is pushed"""
    bert.push_to_hub(BERT)
    same({"config.json", "model.safetensors"} <= set(api.list_repo_files(BERT)), True)


@step
def load_bert():
    """A model is loaded, with the weights that were pushed"""
    same_weights(bert, AutoModel.from_pretrained(BERT))


@step
def tokenizer():
    """A tokenizer is pushed and loaded"""
    vocabulary = folder() / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "model"]))
    BertTokenizerFast(str(vocabulary)).push_to_hub(BERT)
    same(AutoTokenizer.from_pretrained(BERT).tokenize("a model"), ["a", "model"])


@step
def push_sharded():
    """A model in shards is pushed with its index"""
    llama.push_to_hub(LLAMA, max_shard_size="40KB")
    files = api.list_repo_files(LLAMA)
    same("model.safetensors.index.json" in files, True)
    same(len([file for file in files if file.endswith(".safetensors")]) > 2, True)


@step
def load_sharded():
    """A model in shards is loaded, with the weights that were pushed"""
    same_weights(llama, AutoModelForCausalLM.from_pretrained(LLAMA))


@step
def load_revision():
    """An earlier commit of a model is loaded"""
    first = api.model_info(BERT).sha
    with torch.no_grad():
        changed = BertModel(bert.config)
    changed.push_to_hub(BERT)
    same_weights(bert, AutoModel.from_pretrained(BERT, revision=first))
    same_weights(changed, AutoModel.from_pretrained(BERT))


@step
def save_pretrained():
    """Saving with push_to_hub publishes"""
    bert.save_pretrained(str(folder() / "saved-bert"), push_to_hub=True, repo_id="acme/saved-bert")
    same_weights(bert, AutoModel.from_pretrained("acme/saved-bert"))


heard = Heard()


@step
def trainer():
    """Trainer.push_to_hub publishes, and leaves training_args.bin out"""
    model = BertForSequenceClassification(bert.config)
    options = TrainingArguments(
        output_dir=str(folder()), push_to_hub=True, hub_model_id=TRAINED, max_steps=2, use_cpu=True,
        save_strategy="no", report_to=[], disable_tqdm=True,
    )  # fmt: skip
    samples = [{"input_ids": torch.tensor([2, 5, 6, 3]), "labels": torch.tensor(i % 2)} for i in range(8)]
    training = Trainer(model=model, args=options, train_dataset=samples)
    training.train()
    training.push_to_hub()
    files = api.list_repo_files(TRAINED)
    same(["model.safetensors" in files, "training_args.bin" in files], [True, False])
    same_weights(training.model, BertForSequenceClassification.from_pretrained(TRAINED))


@step
def trainer_told():
    """Whoever trains is told that training_args.bin was left out"""
    heard.hears("training_args.bin")


@step
def trainer_checkpoints():
    """A Trainer that pushes at every save publishes too"""
    model = BertForSequenceClassification(bert.config)
    options = TrainingArguments(
        output_dir=str(folder()), push_to_hub=True, hub_model_id="acme/saving", max_steps=2, save_steps=1,
        hub_strategy="every_save", use_cpu=True, report_to=[], disable_tqdm=True, hub_always_push=True,
    )  # fmt: skip
    samples = [{"input_ids": torch.tensor([2, 5, 6, 3]), "labels": torch.tensor(i % 2)} for i in range(8)]
    training = Trainer(model=model, args=options, train_dataset=samples)
    training.train()
    training.push_to_hub()
    same_weights(training.model, BertForSequenceClassification.from_pretrained("acme/saving"))


run()
