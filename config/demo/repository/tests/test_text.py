import unittest

from text import decorate


class Decorate(unittest.TestCase):
    def test_keeps_the_words(self) -> None:
        self.assertIn("welcome", decorate("Welcome").lower())
