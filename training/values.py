"""Invented values: names, addresses, phones, e-mails and what looks like them. Faker (MIT) supplies lists of names and streets."""

import random
import re
import unicodedata

from faker import Faker

LOCALES = {
    "en": ["en_US", "en_GB", "en_IN", "en_AU", "en_CA", "en_NZ", "en_IE", "en_NG"],
    "de": ["de_DE", "de_AT", "de_CH"],
    "fr": ["fr_FR", "fr_CH", "fr_BE", "fr_CA"],
    "es": ["es_ES", "es_MX", "es_AR", "es_CL", "es_CO"],
    "ja": ["ja_JP"],
}
# Where people of any country come from; Latin script only.
OTHERS = [
    "tr_TR", "pl_PL", "it_IT", "pt_PT", "pt_BR", "nl_NL", "sv_SE", "da_DK", "no_NO", "fi_FI", "cs_CZ", "sk_SK", "hr_HR", "hu_HU",
    "ro_RO", "sl_SI", "lt_LT", "lv_LV", "et_EE", "vi_VN", "id_ID", "tl_PH", "ga_IE", "en_US", "de_DE", "fr_FR", "es_ES", "en_IN",
]
LATIN = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ' .\-]+")


class Values:
    def __init__(self, rng: random.Random):
        self.rng = rng
        self.fakers: dict[str, Faker] = {}

    def faker(self, locale: str) -> Faker:
        if locale not in self.fakers:
            try:
                self.fakers[locale] = Faker(locale)
            except AttributeError:
                self.fakers[locale] = Faker("en_US")
            self.fakers[locale].seed_instance(self.rng.randrange(2**32))
        return self.fakers[locale]

    def locale(self, language: str) -> str:
        return self.rng.choice(LOCALES[language])

    def person_locale(self, language: str) -> str:
        if language == "ja":
            return "ja_JP"
        return self.rng.choice(LOCALES[language] if self.rng.random() < 0.6 else OTHERS)

    def latin(self, make, fallback="Kim") -> str:
        for _ in range(5):
            value = make()
            if LATIN.fullmatch(value):
                return value
        return fallback

    def first(self, language: str, locale: str | None = None) -> str:
        faker = self.faker(locale or self.person_locale(language))
        return faker.first_name() if language == "ja" else self.latin(faker.first_name)

    def last(self, language: str, locale: str | None = None) -> str:
        faker = self.faker(locale or self.person_locale(language))
        return faker.last_name() if language == "ja" else self.latin(faker.last_name)

    def full(self, language: str) -> str:
        locale = self.person_locale(language)
        first, last = self.first(language, locale), self.last(language, locale)
        if language == "ja":
            return last + self.rng.choice(["", "", " ", "　"]) + first
        way = self.rng.random()
        if way < 0.80:
            return f"{first} {last}"
        if way < 0.86:
            return f"{first} {self.first(language, locale)[0]}. {last}"
        if way < 0.90:
            return f"{first[0]}. {last}"
        if way < 0.94:
            return f"{first} {last}-{self.last(language, locale)}"
        if way < 0.97:
            return f"{first}-{self.first(language, locale)} {last}"
        return f"{first} {last.upper()}"

    def name(self, language: str) -> str:
        way = self.rng.random()
        return self.full(language) if way < 0.55 else self.first(language) if way < 0.85 else self.last(language)

    def pattern(self, pattern: str) -> str:
        """# is a digit, @ a capital letter, % a digit that isn't 0."""
        r = self.rng
        draw = {"#": lambda: r.choice("0123456789"), "%": lambda: r.choice("123456789"), "@": lambda: r.choice("ABCDEFGHJKLMNPRSTUVWXYZ")}
        return "".join(draw[c]() if c in draw else c for c in pattern)

    PHONES = {
        "en": ["(###) ###-####", "###-###-####", "+1 ### ### ####", "+1-###-###-####", "###.###.####", "+44 20 #### ####", "020 #### ####", "07### ######", "+44 7### ######", "0%### ######", "+353 8# ### ####", "+91 %#### #####", "+61 4## ### ###", "0%## ### ####", "+234 80# ### ####", "##########", "001-###-###-####", "+%# ## ### ## ##", "(0##) #### ####"],
        "de": ["0%## / ### ## ##", "+49 %## #######", "0%##/#######", "0%## #######", "+49 (0) %## #######", "0049 %## ######", "01## #######", "+43 1 ### ## ##", "+41 %# ### ## ##", "0%# ### ## ##", "01##-########", "+49-%##-#######"],
        "fr": ["0% ## ## ## ##", "0%.##.##.##.##", "+33 % ## ## ## ##", "+33 (0)% ## ## ## ##", "0%########", "+32 4## ## ## ##", "+41 ## ### ## ##", "514-###-####", "+1 (418) ###-####", "0%-##-##-##-##", "+225 07 ## ## ## ##", "+221 77 ### ## ##"],
        "es": ["6## ### ###", "9## ## ## ##", "+34 6## ### ###", "+34 9########", "9# ### ## ##", "+52 55 #### ####", "55 #### ####", "(55) ####-####", "+54 11 ####-####", "011 ####-####", "+56 9 #### ####", "+57 3## ### ####", "3## ### ####", "+51 9## ### ###", "(0###) ###-####"],
        "ja": ["0%-####-####", "090-####-####", "080-####-####", "070-####-####", "0###-##-####", "0##-###-####", "03(####)####", "(0##)###-####", "+81-%0-####-####", "+81 90 #### ####", "0120-###-###", "090########"],
    }

    def phone(self, language: str) -> str:
        return self.pattern(self.rng.choice(self.PHONES[language if self.rng.random() < 0.9 else "en"]))

    def ascii(self, name: str) -> str:
        plain = unicodedata.normalize("NFD", name.lower().replace("ß", "ss").replace("ø", "o"))
        return re.sub(r"[^a-z]", "", plain) or self.rng.choice(["info", "kenji", "yuki", "post", "mika"])

    DOMAINS = ["example.com", "example.org", "example.net", "mail.example.com", "posteo.example", "gmail.com", "outlook.com", "yahoo.com", "web.de", "gmx.net", "orange.fr", "laposte.net", "icloud.com", "proton.me", "hotmail.es", "docomo.ne.jp", "corp.example.co.uk", "uni-beispiel.de", "acme.io", "superrito.com"]

    def email(self, language: str) -> str:
        r = self.rng
        first, last = self.ascii(self.first(language)), self.ascii(self.last(language))
        user = r.choice([f"{first}.{last}", f"{first}{last}", f"{first[0]}.{last}", f"{first[0]}{last}", f"{last}.{first}", f"{first}_{last}", f"{first}{r.randint(1, 2010)}", last, first, f"{first}-{last}", f"{first}+{r.choice(['news', 'shop', 'x'])}", f"{first.capitalize()}{last.capitalize()}"])
        domain = r.choice(self.DOMAINS) if r.random() < 0.6 else f"{self.ascii(self.last(language))}{r.choice(['', '-group', 'ltd', 'shop'])}.{r.choice(['com', 'de', 'fr', 'es', 'jp', 'co.uk', 'net', 'info'])}"
        return f"{user}@{domain}"

    def street(self, language: str) -> str:
        r = self.rng
        if language == "ja":
            faker = self.faker("ja_JP")
            return f"{faker.town()}{r.choice([f'{r.randint(1, 9)}丁目{r.randint(1, 40)}番{r.randint(1, 30)}号', f'{r.randint(1, 9)}-{r.randint(1, 40)}-{r.randint(1, 30)}', f'{r.randint(1, 40)}-{r.randint(1, 30)}', f'{r.randint(1, 3000)}番地'])}"
        faker = self.faker(self.locale(language))
        street, number = faker.street_name(), str(r.randint(1, 250)) + r.choice(["", "", "", "", "a", "b", " bis" if language == "fr" else ""])
        if language == "en":
            return f"{r.choice([number, str(r.randint(100, 19999))])} {street}"
        if language == "fr":
            return f"{number}{r.choice([' ', ', '])}{street}"
        if language == "es":
            return f"{street}{r.choice([', ', ' ', ' #', ' No. '])}{number}"
        return f"{street} {number}"

    def unit(self, language: str) -> str:
        r, n = self.rng, self.rng.randint(1, 60)
        return r.choice({
            "en": [f"Apt {n}", f"Apt. {n}B", f"Suite {n}0", f"Flat {n}", f"Unit {n}", f"#{n}", f"Floor {n}"],
            "de": [f"{n % 9 + 1}. OG", "Hinterhaus", f"Top {n}", "2. Stock links"],
            "fr": [f"appt {n}", f"bât. {r.choice('ABC')}", f"{n % 9 + 1}e étage", f"boîte {n}"],
            "es": [f"{n % 9 + 1}º {r.choice('ABCD')}", f"piso {n % 9 + 1}", f"Depto. {n}", f"int. {n}", "bajo izq."],
            "ja": [f"コーポ{self.last('ja')}{n}号", f"ハイツ桜{n}号室", f"{n}号室", f"メゾン青葉{n}"],
        }[language])

    def postcode(self, language: str) -> str:
        return self.pattern(self.rng.choice({
            "en": ["#####", "#####-####", "@@# #@@", "@## #@@", "@#@ #@#", "####", "### ###"],
            "de": ["%####", "%####", "D-%####", "%###", "CH-%###", "A-%###"],
            "fr": ["%####", "%####", "F-%####", "%###", "G#@ #@#"],
            "es": ["%####", "%####", "C.P. %####", "@####@@@", "0####"],
            "ja": ["〒###-####", "###-####"],
        }[language]))

    def city(self, language: str) -> str:
        faker = self.faker(self.locale(language))
        return self.pattern(faker.city()) if language == "ja" else re.sub(r"\(.*?\)|\d", "", faker.city()).strip()

    def country(self, language: str) -> str:
        return self.faker(self.locale(language)).country()

    def address(self, language: str) -> str:
        r = self.rng
        if language == "ja":
            faker = self.faker("ja_JP")
            head = r.choice(["", f"{self.postcode('ja')} ", f"{self.postcode('ja')}\n", self.postcode("ja")])
            region = r.choice([faker.prefecture(), faker.prefecture(), ""]) + faker.city()
            return head + region + self.street("ja") + r.choice(["", "", " " + self.unit("ja"), self.unit("ja")])
        street, way = self.street(language), r.random()
        if way < 0.2:
            return street
        if r.random() < 0.25:
            street += r.choice([", ", " ", "\n"]) + self.unit(language)
        between = r.choice([", ", ", ", "\n", " "])
        code, city = self.postcode(language), self.city(language)
        if language == "en":
            faker = self.faker("en_US")
            town = r.choice([f"{city}, {faker.state_abbr()} {code}", f"{city} {code}", f"{city}, {code}", f"{city}, {faker.state()} {code}", f"{city}, {faker.state_abbr()}", city])
        else:
            town = r.choice([f"{code} {city}", f"{code} {city}", f"{code} {city}", city, f"{city} {code}"])
        full = street + between + town
        return full + between + self.country(language) if r.random() < 0.2 else full

    def organisation(self, language: str) -> str:
        return self.faker(self.locale(language)).company()
