"""Hand-written texts with other people's values in them: names, digits and case change, the frame stays."""

import random
import re

from texts import Text
from values import Values

KANJI = re.compile(r"[㐀-鿿々ヶ]+")
KATAKANA = re.compile(r"[ァ-ヺー・]+")
WORD = re.compile(r"[^\s]+")


def other_name(name: str, language: str, values: Values) -> str:
    """Another name of the same form: as many words, the same case, initials where there were some."""
    rng = values.rng
    if KANJI.fullmatch(name):
        return values.last("ja") if len(name) <= 2 else values.last("ja") + values.first("ja")
    parts = re.split(r"([\s　]+)", name)
    if language == "ja" and all(KANJI.fullmatch(part) for part in parts[::2]) and len(parts) == 3:
        return values.last("ja") + parts[1] + values.first("ja")
    if not re.fullmatch(r"[A-Za-zÀ-ɏḀ-ỿ'’.,\-\s]+", name):
        return name
    people = "en" if language == "ja" else language
    locale = values.person_locale(people)
    words = [part for part in parts[::2] if part]
    if len(words) > 4 or any(word[0].islower() for word in words) and not name.islower():
        return name
    surname_first = words[0].endswith(",") or (len(words) == 2 and words[0].isupper() and not words[1].isupper() and len(words[0]) > 2)

    def one(at: int, word: str) -> str:
        core = word.rstrip(",.")
        if len(core) <= 1 or "." in core:
            return word if len(core) > 1 else rng.choice("ABCDEFGHJKLMNPRSTW") + word[1:]
        is_last = at == 0 if surname_first else at == len(words) - 1 and len(words) > 1
        if len(words) == 1:
            is_last = rng.random() < 0.4
        new = values.last(people, locale) if is_last else values.first(people, locale)
        if word.isupper():
            new = new.upper()
        elif word.islower():
            new = new.lower()
        return new + word[len(core):]

    at = 0
    for i in range(0, len(parts), 2):
        if parts[i]:
            parts[i] = one(at, parts[i])
            at += 1
    return "".join(parts)


def other_digits(value: str, rng: random.Random, kept: int) -> str:
    """Digits change but for the first `kept`."""
    seen = 0
    out = []
    for char in value:
        if char.isascii() and char.isdigit():
            seen += 1
            out.append(char if seen <= kept else rng.choice("0123456789"))
        else:
            out.append(char)
    return "".join(out)


def replaced(text: Text, new: list[str]) -> Text:
    out, spans, at = "", [], 0
    for (begin, end, category), value in zip(text.spans, new):
        out += text.text[at:begin]
        spans.append((len(out), len(out) + len(value), category))
        out += value
        at = end
    return Text(out + text.text[at:], spans, text.language, text.domain, text.id, text.has_others)


def other_values(text: Text, values: Values) -> Text:
    rng, known, new = values.rng, {}, []
    for begin, end, category in text.spans:
        value = text.text[begin:end]
        if value not in known:
            if category == "personal_name":
                known[value] = other_name(value, text.language, values)
            elif category == "phone":
                known[value] = other_digits(value, rng, 3) if rng.random() < 0.7 else values.phone(text.language)
            elif category == "address":
                plain = rng.random() < 0.35 and "\n" not in value and len(value) > 14
                known[value] = values.address(text.language).replace("\n", ", ") if plain else other_digits(value, rng, 0)
            else:
                known[value] = values.email(text.language) if rng.random() < 0.5 else value
        new.append(known[value])
    return replaced(text, new)


def other_case(text: Text, rng: random.Random) -> Text:
    changed = text.text.lower() if rng.random() < 0.7 else text.text.upper()
    return text if len(changed) != len(text.text) else Text(changed, text.spans, text.language, text.domain, text.id, text.has_others)


def piece_of(text: Text, rng: random.Random) -> Text:
    """Some neighbouring lines or sentences of it."""
    cuts = [0] + [m.end() for m in re.finditer(r"\n+|[.!?] |[。！？]", text.text)] + [len(text.text)]
    cuts = [c for c in cuts if not any(begin < c < end for begin, end, _ in text.spans)]
    first = rng.randrange(max(1, len(cuts) - 1))
    last = min(len(cuts) - 1, first + rng.randint(1, 3))
    begin, end = cuts[first], cuts[last]
    spans = [(a - begin, b - begin, c) for a, b, c in text.spans if begin <= a and b <= end]
    part = text.text[begin:end]
    return Text(part, spans, text.language, text.domain, text.id, text.has_others) if part.strip() else text


def augmented(text: Text, values: Values) -> Text:
    rng = values.rng
    if rng.random() < 0.55:
        text = other_values(text, values)
    if rng.random() < 0.2:
        text = piece_of(text, rng)
    if rng.random() < 0.06:
        text = other_case(text, rng)
    return text
