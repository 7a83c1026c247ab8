"""The words of a statement, and how money and days are written, by locale.

The PDF writer asks. Numbers and days follow the locale that was asked for; words follow its
language where we have them, and are English elsewhere. How many decimals a currency has is ISO's
word, not the display library's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_decimal

from billfleet_workers.money import exponent

ENGLISH: Final[Mapping[str, str]] = {
    "title": "Statement of account",
    "customer": "Customer",
    "account": "Account",
    "period": "Period",
    "dated": "Date of statement",
    "day": "Date",
    "what": "Description",
    "charged": "Charged",
    "paid": "Paid",
    "balance": "Balance",
    "before": "Balance brought forward",
    "after": "Balance on {day}",
    "nothing": "Nothing was posted in this period.",
    "currency": "Amounts in {currency}",
    "page": "Page {page} of {pages}",
    "charge": "Charge for the period from {period}",
    "payment": "Payment received, thank you",
    "refund": "Refund",
    "reversal": "Correction of an earlier entry",
    "write_off": "Waived",
}
GERMAN: Final[Mapping[str, str]] = {
    "title": "Kontoauszug",
    "customer": "Kunde",
    "account": "Konto",
    "period": "Zeitraum",
    "dated": "Datum des Auszugs",
    "day": "Datum",
    "what": "Beschreibung",
    "charged": "Belastet",
    "paid": "Bezahlt",
    "balance": "Saldo",
    "before": "Saldovortrag",
    "after": "Saldo am {day}",
    "nothing": "In diesem Zeitraum wurde nichts gebucht.",
    "currency": "Beträge in {currency}",
    "page": "Seite {page} von {pages}",
    "charge": "Rechnung für den Zeitraum ab {period}",
    "payment": "Zahlung erhalten, vielen Dank",
    "refund": "Erstattung",
    "reversal": "Korrektur einer früheren Buchung",
    "write_off": "Erlassen",
}
FRENCH: Final[Mapping[str, str]] = {
    "title": "Relevé de compte",
    "customer": "Client",
    "account": "Compte",
    "period": "Période",
    "dated": "Date du relevé",
    "day": "Date",
    "what": "Libellé",
    "charged": "Débit",
    "paid": "Crédit",
    "balance": "Solde",
    "before": "Solde précédent",
    "after": "Solde au {day}",
    "nothing": "Aucune écriture durant cette période.",
    "currency": "Montants en {currency}",
    "page": "Page {page} sur {pages}",
    "charge": "Facture pour la période à partir du {period}",
    "payment": "Paiement reçu, merci",
    "refund": "Remboursement",
    "reversal": "Correction d'une écriture antérieure",
    "write_off": "Abandonné",
}
SPANISH: Final[Mapping[str, str]] = {
    "title": "Extracto de cuenta",
    "customer": "Cliente",
    "account": "Cuenta",
    "period": "Periodo",
    "dated": "Fecha del extracto",
    "day": "Fecha",
    "what": "Concepto",
    "charged": "Cargo",
    "paid": "Abono",
    "balance": "Saldo",
    "before": "Saldo anterior",
    "after": "Saldo al {day}",
    "nothing": "No hay movimientos en este periodo.",
    "currency": "Importes en {currency}",
    "page": "Página {page} de {pages}",
    "charge": "Cargo por el periodo desde el {period}",
    "payment": "Pago recibido, gracias",
    "refund": "Reembolso",
    "reversal": "Corrección de un apunte anterior",
    "write_off": "Condonado",
}
WORDS: Final = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH}


@dataclass(frozen=True, slots=True)
class Tongue:
    """Words, numbers and days of one locale."""

    locale: Locale
    words: Mapping[str, str]

    @classmethod
    def of(cls, tag: str) -> "Tongue":
        """The closest that we have to a locale such as `de-AT`."""
        parts = tag.split("-")
        for known in (tag, parts[0], "en"):
            try:
                locale = Locale.parse(known, sep="-")
            except (UnknownLocaleError, ValueError):
                continue
            return cls(locale, WORDS.get(locale.language, ENGLISH))
        raise AssertionError("English is always known")

    def say(self, word: str, **values: object) -> str:
        """A word or sentence."""
        return self.words[word].format(**values)

    def money(self, minor: int, currency: str) -> str:
        """An amount with the decimals of its currency, without its name."""
        decimals = exponent(currency)
        pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
        return format_decimal(Decimal(minor).scaleb(-decimals), pattern, locale=self.locale)

    def day(self, day: date) -> str:
        """A day."""
        return format_date(day, "medium", locale=self.locale)
