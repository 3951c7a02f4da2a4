"""Synthetic texts: the templates of data/templates, filled with invented values. Organisations and places are marked as such."""

import pathlib
import random
import re

from texts import Text
from values import Values

FOLDER = pathlib.Path(__file__).parent / "data" / "templates"
SLOT = re.compile(r"\{(\w+)\}")
MARKED = {
    "full": "personal_name", "first": "personal_name", "last": "personal_name", "address": "address", "street": "address",
    "postcode": "address", "phone": "phone", "email": "email", "org": "other.organisation", "city": "other.location", "country": "other.location",
}
TITLES = {"en": ["Mr.", "Mrs.", "Ms.", "Dr.", "Miss", "Prof."], "de": ["Herr", "Frau", "Dr.", "Herr Dr."], "fr": ["M.", "Mme", "Dr"], "es": ["Sr.", "Sra.", "Dr.", "Dña."], "ja": [""]}
MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}


def plain_value(slot: str, language: str, values: Values) -> str:
    r = values.rng
    faker = values.faker(values.locale(language))
    year, month, day = r.randint(1950, 2030), r.randint(1, 12), r.randint(1, 28)
    if slot == "date":
        if language == "ja":
            return r.choice([f"{year}年{month}月{day}日", f"{month}月{day}日", f"令和{year % 9 + 1}年{month}月{day}日", f"{year}/{month:02}/{day:02}"])
        name = MONTHS[language].split()[month - 1]
        return r.choice([f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}", f"{day}/{month}/{year}", f"{day} {name} {year}", f"{name} {day}, {year}", f"{day}. {name}", f"{day} {name}"])
    draw = {
        "n": lambda: str(r.choice([r.randint(1, 20), r.randint(20, 999), r.randint(1000, 99999)])),
        "year": lambda: str(year),
        "age": lambda: str(r.randint(18, 95)),
        "time": lambda: f"{r.randint(0, 23)}:{r.randint(0, 59):02}",
        "price": lambda: r.choice([f"${r.randint(1, 9999)}.{r.randint(0, 99):02}", f"{r.randint(1, 999)},{r.randint(0, 99):02} €", f"£{r.randint(1, 500)}", f"{r.randint(100, 90000)}円", f"{r.randint(1, 90)} EUR"]),
        "iban": faker.iban,
        "card": lambda: r.choice([faker.credit_card_number(), re.sub(r"(\d{4})(?=\d)", r"\1 ", faker.credit_card_number("visa16"))]),
        "ssn": lambda: values.pattern("###-##-####"),
        "ip": lambda: r.choice([faker.ipv4(), faker.ipv4(), faker.ipv6()]),
        "url": lambda: f"{r.choice(['https://www.', 'http://', 'www.', ''])}{faker.domain_name()}",
        "ver": lambda: values.pattern(r.choice(["%.#.#", "v%.##.#", "%#.#.#-rc.%"])),
        "code": lambda: values.pattern(r.choice(["@@-####", "####-##-@", "@##@####", "@@@######", "########", "#%#-###-###", "@@ ### ###", "@@@-##-#####"])),
        "user": lambda: r.choice([values.ascii(values.first("en")) + values.pattern("##"), faker.user_name(), "_".join(faker.words(2))]),
        "title": lambda: r.choice(TITLES[language]),
        "nat": lambda: r.choice(["French", "Brazilian", "Kenyan", "German", "Polish", "Indian", "Irish", "Chinese", "Nigerian", "Peruvian", "Danish", "Thai"]),
    }
    return draw[slot]()


def filled(template: str, language: str, values: Values) -> Text:
    makers = {
        "full": values.full, "first": values.first, "last": values.last, "address": values.address, "street": values.street, "postcode": values.postcode,
        "phone": values.phone, "email": values.email, "org": values.organisation, "city": values.city, "country": values.country,
    }
    text, spans, at = "", [], 0
    for m in SLOT.finditer(template):
        text += template[at : m.start()]
        at = m.end()
        slot = m[1]
        if slot == "first" and values.rng.random() < 0.15:
            slot = "full"
        value = makers[slot](language) if slot in makers else plain_value(slot, language, values)
        if slot in MARKED and value:
            spans.append((len(text), len(text) + len(value), MARKED[slot]))
        text += value
    return Text(text + template[at:], spans, language, "synthetic", has_others=True)


def synthetic(count: int, values: Values) -> list[Text]:
    templates = {file.stem: [line.replace("\\n", "\n").replace("\\t", "\t") for line in file.read_text(encoding="utf8").splitlines() if line] for file in sorted(FOLDER.glob("*.txt"))}
    weights = {"en": 5, "de": 1, "fr": 1, "es": 1, "ja": 1}
    languages = list(weights)
    out = []
    for _ in range(count):
        language = values.rng.choices(languages, [weights[l] for l in languages])[0]
        out.append(filled(values.rng.choice(templates[language]), language, values))
    return out
