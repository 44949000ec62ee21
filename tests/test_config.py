"""The configuration: every bad value has its own message, every good file survives a round trip."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nmt import config, config_corpora, config_model, config_training
from nmt.config import Config
from nmt.config_decoding import DecodingConfig
from nmt.errors import ConfigError

CORPORA = """
data:
  train: {type: phrasebook}
  dev: {type: phrasebook, split: dev}
"""
GOOD = "source_language: en\ntarget_language: fr" + CORPORA


def load(tmp_path: Path, text: str, *overrides: str) -> Config:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return config.load(path, overrides)


def message_of(tmp_path: Path, text: str, *overrides: str) -> str:
    """The message of the refusal, with the folder of the test taken out."""
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, text, *overrides)
    return str(refusal.value).replace(f"{tmp_path}/", "")


def test_a_minimal_file_takes_every_default(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD)
    assert loaded.source_language == "en"
    assert loaded.data.train == [config_corpora.PhrasebookCorpus()]
    assert loaded.data.dev == [config_corpora.PhrasebookCorpus(split="dev")]
    assert loaded.data.test is None
    assert loaded.model == config_model.ModelConfig()
    assert loaded.training.schedule == config_training.ScheduleConfig()
    assert loaded.decoding == DecodingConfig()


def test_corpora_are_one_or_a_list_of_several_kinds(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        """
source_language: en
target_language: pt-BR
data:
  train:
    - {type: files, source: a.en.gz, target: a.pt.gz}
    - {type: tsv, path: a.tsv, source_column: 2, target_column: portuguese}
    - {type: jsonl, path: a.jsonl, target_column: pt}
    - {type: hub, repository: owner/name, config: en-pt, revision: 0a1b2c3, split: "train[:100]"}
  dev: {type: files, source: b.en, target: b.pt}
""",
    )
    kinds = [corpus.type for corpus in loaded.data.train]
    assert kinds == ["files", "tsv", "jsonl", "hub"]
    assert loaded.data.train[1] == config_corpora.TSVCorpus(path="a.tsv", source_column=2, target_column="portuguese")
    assert loaded.data.dev == [config_corpora.FilesCorpus(source="b.en", target="b.pt")]


# One row a rule: what stands after two good languages and corpora, and the whole of what is said about it.
ONE_PROBLEM = [
    # keys
    ("decoding: {beam_sise: 4}", "decoding.beam_sise: unknown key. Did you mean `beam_size`?"),
    ("training: {schedule: {typ: cosine}}", "training.schedule.typ: unknown key. Did you mean `type`?"),
    ("tokeniser: {}", "tokeniser: unknown key. Did you mean `tokenizer`?"),
    (
        "batching: {zzz: 1}",
        "batching.zzz: unknown key. Known: batches_per_update, size, unit.",
    ),
    (
        'model: {"a\\eb": 1}',
        r"model.'a\x1bb': unknown key. Known: " + ", ".join(sorted(config_model.ModelConfig.model_fields)) + ".",
    ),
    # whole numbers
    ("seed: true", "seed: must be a whole number. Received: true"),
    ("seed: 1.0", "seed: must be a whole number. Received: 1.0"),
    ("seed: 1e3", "seed: must be a whole number. Received: 1000.0"),
    ("seed: '1'", "seed: must be a whole number. Received: '1'"),
    ("seed: 010", "seed: must be a whole number. Received: '010'"),
    ("seed: 1_000", "seed: must be a whole number. Received: '1_000'"),
    ("seed:", "seed: must be a whole number. Received: null"),
    ("seed: -1", "seed: must be >= 0 and < 2,147,483,648. Received: -1"),
    ("seed: 2147483648", "seed: must be >= 0 and < 2,147,483,648. Received: 2147483648"),
    ("seed: 99999999999999999999", "seed: must be >= 0 and < 2,147,483,648. Received: 99999999999999999999"),
    ("training: {max_updates: 0}", "training.max_updates: must be >= 1. Received: 0"),
    (
        "tokenizer: {vocabulary_size: 1000000}",
        "tokenizer.vocabulary_size: must be >= 300 and <= 100,000. Received: 1000000",
    ),
    # numbers
    (
        "model: {decoder: input_feeding, decoder_transitions: 2}",
        (
            "model.decoder_transitions: must be 0 with the decoder `input_feeding`. "
            "Received: 2. Set it to 0, or the decoder to `conditional`."
        ),
    ),
    (
        "training: {weight_decay: 0.1}",
        (
            "training.weight_decay: `adamw` alone has it. Received: 0.1, with optimizer: adam. Set it to 0, or "
            "optimizer to `adamw`."
        ),
    ),
    (
        "training: {schedule: {type: plateau, decay_updates: 7, patience: 1}}",
        (
            "training.schedule: `plateau` has no decay_updates. Received: decay_updates=7. Leave it out, or give the "
            "section anew: --set 'training.schedule={type: plateau, patience: 1}'."
        ),
    ),
    (
        "training: {schedule: {type: constant, factor: 0.1, floor: 0.5}}",
        (
            "training.schedule: `constant` has no factor and no floor. Received: factor=0.1, floor=0.5. Leave it out, "
            "or give the section anew: --set 'training.schedule={type: constant}'."
        ),
    ),
    (
        "model: {dropout_rate: 0, variational_dropout: true}",
        (
            "model.variational_dropout: says how dropout_rate draws. Received: true, with dropout_rate=0. Set "
            "dropout_rate above 0, or leave variational_dropout out."
        ),
    ),
    (
        "training: {r_drop: 1}\nmodel: {dropout_rate: 0}",
        (
            "training.r_drop: two passes differ by dropout alone, and `model` has none. Received: 1.0. "
            "Set it to 0, or model.dropout_rate above 0."
        ),
    ),
    (
        "training: {bidirectional_epochs: 5}\nmodel: {tied_embeddings: target}\ntokenizer: {joint: false}",
        (
            "training.bidirectional_epochs: one model reads and writes both languages in them, which takes a joint "
            "vocabulary. Received: 5, with tokenizer.joint=false. Set tokenizer.joint to true, or bidirectional_epochs "
            "to 0."
        ),
    ),
    (
        "training: {bidirectional_epochs: 30}",
        (
            "training.bidirectional_epochs: must be below training.max_epochs, as the last epochs are of the direction "
            "that is asked for. Received: 30, with max_epochs=30. Lower it."
        ),
    ),
    ("model: {dropout_rate: 1.3}", "model.dropout_rate: must be >= 0 and < 1. Received: 1.3"),
    ("model: {dropout_rate: 1}", "model.dropout_rate: must be >= 0 and < 1. Received: 1"),
    ("training: {learning_rate: 0}", "training.learning_rate: must be > 0 and <= 10. Received: 0"),
    ("training: {learning_rate: fast}", "training.learning_rate: must be a number. Received: 'fast'"),
    ("training: {learning_rate: .nan}", "training.learning_rate: must be a number. Received: '.nan'"),
    ("training: {learning_rate: 1e400}", "training.learning_rate: must be a finite number. Received: inf"),
    ("training: {clip_norm: false}", "training.clip_norm: must be a number. Received: false"),
    ("training: {ema_decay: 1}", "training.ema_decay: must be > 0 and < 1. Received: 1"),
    # truth values: those of YAML 1.1 are text
    ("tokenizer: {joint: yes}", "tokenizer.joint: must be true or false. Received: 'yes'"),
    ("tokenizer: {joint: 1}", "tokenizer.joint: must be true or false. Received: 1"),
    # text
    ("data2: 1", "data2: unknown key. Did you mean `data`?"),
    (
        "training: {optimizer: sgd}",
        "training.optimizer: must be 'adam', 'adamw' or 'rmsprop'. Received: 'sgd'",
    ),
    (
        f"training: {{optimizer: {'x' * 200}}}",
        f"training.optimizer: must be 'adam', 'adamw' or 'rmsprop'. Received: '{'x' * 76}...",
    ),
    # sections
    ("model: 5", "model: must be a section of keys and values. Received: 5"),
    ("model: [embedding_size]", "model: must be a section of keys and values. Received: ['embedding_size']"),
    ("model:", "model: must be a section of keys and values. Received: null"),
    ("training: {schedule: cosine}", "training.schedule: must be a section of keys and values. Received: 'cosine'"),
    # across sections
    (
        "tokenizer: {joint: false}",
        (
            "model.tied_embeddings: `all` needs one joint vocabulary. Received: tokenizer.joint=false. "
            "Set tokenizer.joint to true, or model.tied_embeddings to `target`."
        ),
    ),
    (
        "tokenizer: {model_type: bpe, sampling: {alpha: 0.2}}",
        (
            "tokenizer.sampling.alpha: is for `model_type: unigram`. Received: alpha=0.2, model_type=bpe. "
            "Set merge_dropout_rate instead."
        ),
    ),
    (
        "tokenizer: {sampling: {merge_dropout_rate: 0.1}}",
        (
            "tokenizer.sampling.merge_dropout_rate: is for `model_type: bpe`. Received: merge_dropout_rate=0.1, "
            "model_type=unigram. Set alpha instead."
        ),
    ),
    (
        "tokenizer: {sampling: {sides: target}}",
        (
            "tokenizer.sampling.sides: nothing is drawn. Received: sides=target, alpha=null, merge_dropout_rate=0. "
            "Set one of the two, or leave sides out."
        ),
    ),
    (
        "decoding: {min_length_ratio: 0.8, max_length_ratio: 0.5}",
        "decoding.min_length_ratio: must be <= max_length_ratio (0.5). Received: 0.8",
    ),
    (
        "decoding: {beam_size: 1000, max_length_ratio: 100, max_source_pieces: 10000}",
        (
            "decoding.beam_size: times the longest output, of max_source_pieces x max_length_ratio + 10 pieces, must "
            "be <= 16,777,216, else a sentence takes too much memory. Received: beam_size=1000, "
            "max_source_pieces=10000, max_length_ratio=100.0. Lower one of them"
        ),
    ),
]


@pytest.mark.parametrize(("text", "problem"), ONE_PROBLEM)
def test_a_bad_value_is_named_with_its_rule(tmp_path: Path, text: str, problem: str) -> None:
    assert message_of(tmp_path, GOOD + text) == f"c.yaml: 1 problem\n  {problem}"


BAD_CORPORA = [
    ("x.txt", "data.train: must be a corpus or a list of corpora. Received: 'x.txt'"),
    ("", "data.train: must be a corpus or a list of corpora. Received: null"),
    ("[]", "data.train: must not be empty. Received: []"),
    ("[x.txt]", "data.train[0]: must be a section of keys and values. Received: 'x.txt'"),
    (
        "{source: a, target: b}",
        "data.train[0].type: missing. It must be one of files, tsv, jsonl, hub, phrasebook.",
    ),
    ("{type: fils}", "data.train[0].type: unknown. Received: 'fils'. Did you mean `files`?"),
    ("{type: 3}", "data.train[0].type: unknown. Received: 3. Known: files, hub, jsonl, phrasebook, tsv."),
    ("{type: files, source: a}", "data.train[0].target: missing. Add it: Path of the target-language file."),
    ("{type: files, source: '', target: b}", "data.train[0].source: must not be empty. Received: ''"),
    (
        "[{type: phrasebook}, {type: files, source: a, target: b, targe: c}]",
        "data.train[1].targe: unknown key. Did you mean `target`?",
    ),
    (
        "{type: files, source: 7, target: b}",
        "data.train[0].source: must be text; put it in quotes if it is meant as such. Received: 7",
    ),
    (
        "{type: hub, repository: a/b, revision: 12345}",
        "data.train[0].revision: must be text; put it in quotes if it is meant as such. Received: 12345",
    ),
    (
        "{type: tsv, path: a, source_column: -1}",
        "data.train[0].source_column: must be a column's number from 0 or its name. Received: -1",
    ),
    (
        "{type: tsv, path: a, target_column: true}",
        "data.train[0].target_column: must be a column's number from 0 or its name. Received: true",
    ),
    ("{type: phrasebook, num_pairs: 0}", "data.train[0].num_pairs: must be >= 1 and <= 100,000. Received: 0"),
    ("{type: phrasebook, split: valid}", "data.train[0].split: must be 'train', 'dev' or 'test'. Received: 'valid'"),
]


@pytest.mark.parametrize(("corpora", "problem"), BAD_CORPORA)
def test_a_bad_corpus_is_named_with_its_place(tmp_path: Path, corpora: str, problem: str) -> None:
    text = f"source_language: en\ntarget_language: fr\ndata:\n  dev: {{type: phrasebook}}\n  train: {corpora}\n"
    assert message_of(tmp_path, text) == f"c.yaml: 1 problem\n  {problem}"


@pytest.mark.parametrize(
    ("code", "received"), [("7", None), ("''", "''"), ("en/../..", "'en/../..'"), ('"en\\n"', r"'en\n'")]
)
def test_a_language_is_a_code(tmp_path: Path, code: str, received: str | None) -> None:
    rule = "must be a language code such as `en` or `pt-BR`"
    if received is None:
        rule, received = "must be text; put it in quotes if it is meant as such", "7"
    message = message_of(tmp_path, f"source_language: {code}\ntarget_language: fr" + CORPORA)
    assert message == f"c.yaml: 1 problem\n  source_language: {rule}. Received: {received}"


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = """
source_language: en
data:
  train: {type: files, source: a, targt: b}
  dev: [{type: fles}]
  test: 3
model: {dropout_rate: 1.3, encoder: 3}
training: {schedule: {typ: x}, learning_rate: 1e-3}
decoding: {beam_sise: 4}
"""
    assert message_of(tmp_path, text).splitlines() == [
        "c.yaml: 9 problems",
        "  target_language: missing. Add it: Code of the target language, such as `de`.",
        "  data.train[0].target: missing. Add it: Path of the target-language file.",
        "  data.train[0].targt: unknown key. Did you mean `target`?",
        "  data.dev[0].type: unknown. Received: 'fles'. Did you mean `files`?",
        "  data.test: must be a corpus or a list of corpora. Received: 3",
        "  model.dropout_rate: must be >= 0 and < 1. Received: 1.3",
        "  model.encoder: unknown key. Did you mean `decoder`?",
        "  training.schedule.typ: unknown key. Did you mean `type`?",
        "  decoding.beam_sise: unknown key. Did you mean `beam_size`?",
    ]


def test_both_problems_across_sections_are_reported_at_once(tmp_path: Path) -> None:
    text = GOOD + "tokenizer: {joint: false}\ndecoding: {min_length_ratio: 1, max_length_ratio: 0.5}"
    first, *problems = message_of(tmp_path, text).splitlines()
    assert first == "c.yaml: 2 problems"
    assert [problem.split(":")[0].strip() for problem in problems] == [
        "model.tied_embeddings",
        "decoding.min_length_ratio",
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("[*x]", "aliases are not allowed; write the value out"),
        ("{<<: {a: 1}}", "merge keys are not allowed; write the keys out"),
        ("!!python/name:os.system", "tags are not allowed; remove `tag:yaml.org,2002:python/name:os.system`"),
        ("{a: 1, a: 2}", "duplicate key `a`; keep one of them"),
        ("[" * 30, "it is nested too deeply; the limit is 20 levels"),
    ],
)
def test_the_value_of_an_override_is_as_strict(tmp_path: Path, value: str, problem: str) -> None:
    (tmp_path / "c.yaml").write_text(GOOD)
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path / "c.yaml", [f"data={value}"])
    assert str(caught.value) == f"--set data: not valid YAML: line 1: {problem}. Received: {value!r}"


def test_of_very_many_problems_the_first_are_told(tmp_path: Path) -> None:
    text = GOOD + "".join(f"k{number}: 1\n" for number in range(30_000))
    first, *problems, last = message_of(tmp_path, text).splitlines()
    assert (first, last) == ("c.yaml: 30,000 problems", "  and 29,980 more")
    assert len(problems) == 20


NOT_A_CONFIG = [
    ("", "a configuration is a mapping of sections. Received: null"),
    ("- a", "a configuration is a mapping of sections. Received: ['a']"),
    ("5", "a configuration is a mapping of sections. Received: 5"),
    ("a: [1", "not valid YAML: line 1: expected ',' or ']', but got '<stream end>'"),
    ("seed: 1\nseed: 2", "not valid YAML: line 2: duplicate key `seed`; keep one of them"),
    ("model:\n  a: 1\n  a: 1", "not valid YAML: line 3: duplicate key `a`; keep one of them"),
    ("a: &x 1\nb: *x", "not valid YAML: line 1: anchors are not allowed; remove `&x`"),
    ("a: 1\nb: *x", "not valid YAML: line 2: aliases are not allowed; write the value out"),
    (
        "a: !!python/object/apply:os.getcwd []",
        "not valid YAML: line 1: tags are not allowed; remove `tag:yaml.org,2002:python/object/apply:os.getcwd`",
    ),
    ("a: !!int x", "not valid YAML: line 1: tags are not allowed; remove `tag:yaml.org,2002:int`"),
    ("1: a", "not valid YAML: line 1: keys must be plain names"),
    ("? [a]\n: b", "not valid YAML: line 1: keys must be plain names"),
    ("a: 1\n--- \nb: 2", "not valid YAML: line 2: expected a single document in the stream but found another document"),
    ("a: \x00", "not valid YAML: line 1: the character U+0000 is not allowed in YAML"),
    ("[" * 50_000, "not valid YAML: line 1: it is nested too deeply; the limit is 20 levels"),
    ("# " + "x" * 1_000_000, "a configuration has at most 1,000,000 bytes. Is this the right file?"),
]


@pytest.mark.parametrize(("text", "problem"), NOT_A_CONFIG, ids=[text[:12] for text, _ in NOT_A_CONFIG])
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert message_of(tmp_path, text) == f"c.yaml: {problem}"


def test_a_number_of_5000_digits_is_refused(tmp_path: Path) -> None:
    message = "c.yaml: not valid YAML: line 1: a whole number has at most 100 digits"
    assert message_of(tmp_path, "seed: " + "9" * 5000) == message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, reason in [(tmp_path / "absent.yaml", "No such file or directory"), (tmp_path, "Is a directory")]:
        with pytest.raises(ConfigError) as refusal:
            config.load(path)
        assert str(refusal.value) == f"{path}: can't read the configuration: {reason}. Check the path."


def test_bytes_that_are_no_utf8_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(GOOD.encode() + b"# caf\xe9")
    with pytest.raises(ConfigError, match=rf"is UTF-8 text. Received: an invalid byte at {len(GOOD) + 5}. Save it as"):
        config.load(path)


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert config.load(path).target_language == "fr"


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    text = """
source_language: no
target_language: en
data:
  train: {type: hub, repository: a/b, revision: 2024-01-01, config: 010}
  dev: {type: hub, repository: 1:30, split: on}
training: {learning_rate: 1e-3, clip_norm: 5, ema_decay: 5.e-2}
"""
    loaded = load(tmp_path, text)
    assert loaded.source_language == "no"
    assert loaded.data.train == [config_corpora.HubCorpus(repository="a/b", revision="2024-01-01", config="010")]
    assert loaded.data.dev == [config_corpora.HubCorpus(repository="1:30", split="on")]
    training = loaded.training
    assert (training.learning_rate, training.clip_norm, training.ema_decay) == (0.001, 5.0, 0.05)


def test_overrides_apply_in_order_and_reach_every_level(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        GOOD,
        "seed=5",
        "seed=6",
        "training.schedule.type=cosine",
        "training.learning_rate=3e-4",
        "training.max_minutes=12",
        "training.early_stopping_patience=null",
        "data.dev={type: files, source: a b.en, target: 'a=b.fr'}",
        "source_language=no",
        "data.train.num_pairs=50",
    )
    assert loaded.seed == 6
    assert loaded.training.schedule.type == "cosine"
    assert loaded.training.learning_rate == 3e-4
    assert loaded.training.max_minutes == 12.0
    assert loaded.training.early_stopping_patience is None
    assert loaded.data.dev == [config_corpora.FilesCorpus(source="a b.en", target="a=b.fr")]
    assert loaded.source_language == "no"
    assert loaded.data.train == [config_corpora.PhrasebookCorpus(num_pairs=50)]


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("model: auto\n", []),
        ("recipe: auto\n", []),
        ("recipe: auto\nmodel: auto\n", []),
        ("", ["model=auto"]),
        ("model: {decoder_size: 5}\n", ["model=auto"]),
    ],
)
def test_the_recipe_may_be_asked_for_in_short(tmp_path: Path, text: str, overrides: list[str]) -> None:
    loaded = load(tmp_path, GOOD + text, *overrides)
    assert loaded.recipe == "auto"
    assert loaded.model == config_model.ModelConfig()


def test_a_key_of_the_model_may_stand_beside_the_short_form(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD + "model: auto\n", "model.decoder_size=7")
    assert (loaded.recipe, loaded.model.decoder_size) == ("auto", 7)
    assert loaded.model.model_fields_set == {"decoder_size"}


def test_the_short_form_is_no_answer_to_another_recipe(tmp_path: Path) -> None:
    message = message_of(tmp_path, GOOD + "recipe: defaults\nmodel: auto\n")
    assert message == (
        "c.yaml: `model: auto` is short for `recipe: auto`. Received: it beside `recipe: 'defaults'`. "
        "Leave one of the two out."
    )


def test_what_is_left_open_is_still_open_after_dump_and_load(tmp_path: Path) -> None:
    original = load(tmp_path, GOOD + "model: auto\n", "training.max_epochs=7")
    again = load(tmp_path, config.dump(original))
    assert again == original
    assert again.training.model_fields_set == {"max_epochs"}


BAD_OVERRIDES = [
    ("seed", "--set takes key=value, such as training.max_epochs=5. Received: 'seed'"),
    ("=3", "--set takes key=value, such as training.max_epochs=5. Received: '=3'"),
    ("a..b=3", "--set takes key=value, such as training.max_epochs=5. Received: 'a..b=3'"),
    (
        "seed=[",
        "--set seed: not valid YAML: line 1: expected the node content, but found '<stream end>'. Received: '['",
    ),
    (
        "model={a: 1, a: 2}",
        "--set model: not valid YAML: line 1: duplicate key `a`; keep one of them. Received: '{a: 1, a: 2}'",
    ),
    ("seed.x.y=3", "--set seed.x.y: `seed` is not a section; set it whole, as in --set 'seed=...'"),
    (
        "data.list.0.path=x",
        "--set data.list.0.path: `data.list` is not a section; set it whole, as in --set 'data.list=...'",
    ),
    ("decoding.beam_sise=3", "c.yaml: 1 problem\n  decoding.beam_sise: unknown key. Did you mean `beam_size`?"),
    ("sed=3", "c.yaml: 1 problem\n  sed: unknown key. Did you mean `seed`?"),
    ("seed=", "c.yaml: 1 problem\n  seed: must be a whole number. Received: null"),
]


@pytest.mark.parametrize(("override", "message"), BAD_OVERRIDES)
def test_a_bad_override_is_refused(tmp_path: Path, override: str, message: str) -> None:
    text = GOOD if "list" not in override else GOOD + "  list: [1]\n"
    assert message_of(tmp_path, text + "seed: 3\n", override) == message


def test_dump_and_load_give_the_same_configuration(tmp_path: Path) -> None:
    original = load(
        tmp_path,
        GOOD,
        "training.learning_rate=1e-5",
        "decoding.length_penalty=0",
        "data.test={type: hub, repository: a}",
    )
    written = config.dump(original)
    assert load(tmp_path, written) == original
    assert list(config.strict_yaml.parse(written)) == list(Config.model_fields)


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
def test_any_path_survives_dump_and_load(path: str) -> None:
    corpus = {"type": "hub", "repository": path, "split": "1e3", "revision": "0x10", "config": "no"}
    tree = {"source_language": "no", "target_language": "y", "data": {"train": corpus, "dev": corpus}}
    original = config.validate(tree, "c")
    assert config.validate(config.strict_yaml.parse(config.dump(original)), "c") == original


def fields_of(section: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    found = []
    for name, field in section.model_fields.items():
        found.append((f"{section.__name__}.{name}", field))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += fields_of(field.annotation)
    return found


@pytest.mark.parametrize(("name", "field"), fields_of(Config))
def test_every_field_is_described_by_a_sentence(name: str, field: FieldInfo) -> None:
    assert field.description is not None, name
    assert field.description.endswith("."), name


def test_a_configuration_cannot_be_changed_after_validation(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        loaded.model.dropout_rate = 0.5
