"""The conversations: answering with numbers and words, notes, and that nothing typed is lost."""

from __future__ import annotations

from dataclasses import replace

from app_pilot import SMALL, WIDE, Driven, driving
from fixed_desk import NOW, fleet, question

from backend.errors import Refused
from backend.model import RuleScope


def typed(d: Driven) -> str:
    return d.control.chat.input.value


async def test_the_most_useful_question_is_first_and_its_conversation_is_shown() -> None:
    for size in (WIDE, SMALL):
        async with driving(fleet(), size) as d:
            await d.press("4")
            await d.until(lambda: "Prefer something without a new service." in d.text())
            text = d.text()
            assert text.index("Which algorithm") < text.index("May I run")
            assert "1 token bucket" in text
            assert "3 whichever is simpler" in text


async def test_a_number_answers_with_the_option_and_the_next_question_comes_up() -> None:
    async with driving(fleet()) as d:
        await d.press("4", "i")
        await d.type("2")
        await d.press("enter")
        await d.until(lambda: d.calls("answer") == [("m-2", "sliding window")])
        await d.until(lambda: typed(d) == "")
        await d.until(lambda: len(d.app.picture.snapshot.questions) == 1)
        assert d.flash == "answered impl-2: sliding window"
        await d.until(lambda: "1 allow once" in d.text())
        assert d.control.chat.questions.has_focus


async def test_own_words_are_sent_as_they_are_typed() -> None:
    async with driving(fleet(), SMALL) as d:
        await d.press("4", "i")
        await d.type("bucket, 10 per s")
        await d.press("enter")
        await d.until(lambda: d.calls("answer") == [("m-2", "bucket, 10 per s")])


async def test_a_number_beyond_the_options_is_an_answer_in_itself() -> None:
    async with driving(fleet()) as d:
        await d.press("4", "i")
        await d.type("42")
        await d.press("enter")
        await d.until(lambda: d.calls("answer") == [("m-2", "42")])


async def test_the_cursor_chooses_the_question_that_is_answered() -> None:
    async with driving(fleet()) as d:
        await d.press("4", "down", "enter")
        await d.type("3")
        await d.press("enter")
        await d.until(lambda: d.calls("answer") == [("m-3", "deny")])


async def test_o_on_a_task_opens_its_question_ready_to_type() -> None:
    async with driving(fleet()) as d:
        d.control.queues.go_to("01kc7m2q9x4b1")
        await d.press("o")
        assert d.control.chat.input.has_focus
        await d.type("1")
        await d.press("enter")
        await d.until(lambda: d.calls("answer") == [("m-3", "allow once")])


async def test_o_on_a_task_that_asks_nothing_writes_a_note() -> None:
    async with driving(fleet()) as d:
        d.control.queues.go_to("01kc7m2q9x4c2")
        await d.press("o")
        await d.type("keep it small")
        await d.press("enter")
        await d.until(lambda: d.calls("note") == [("01kc7m2q9x4c2", "keep it small")])
        await d.until(lambda: "keep it small" in d.text())


async def test_an_answer_that_is_refused_stays_in_the_line() -> None:
    async with driving(fleet()) as d:
        d.desk.failure = Refused("the question was answered on another machine")
        await d.press("4", "i")
        await d.type("a long and careful answer")
        await d.press("enter")
        await d.until(lambda: "answered on another machine" in d.flash)
        assert typed(d) == "a long and careful answer"


async def test_what_is_typed_for_one_conversation_waits_while_another_is_read() -> None:
    async with driving(fleet()) as d:
        await d.press("4", "i")
        await d.type("half an answ")
        await d.press("escape", "down")
        await d.until(lambda: typed(d) == "")
        await d.press("up")
        await d.until(lambda: typed(d) == "half an answ")


async def test_a_question_answered_elsewhere_leaves_the_list() -> None:
    async with driving(fleet()) as d:
        asked = next(m for m in d.desk.backend.messages if m.id == "m-2")
        await d.desk.backend.post(replace(asked, answer="token bucket", answered_at=NOW))
        await d.until(lambda: d.control.chat.title == "4 Chat 1 open")


async def test_a_new_message_appears_in_the_open_conversation() -> None:
    async with driving(fleet()) as d:
        await d.until(lambda: "Prefer something" in d.text())
        await d.desk.backend.post(question("m-7", "01kc7m2q9x4b2", "Redis or in memory?"))
        await d.until(lambda: "Redis or in memory?" in "\n".join(d.lines()[30:]))


async def test_letters_typed_into_the_answer_are_no_commands() -> None:
    async with driving(fleet()) as d:
        await d.press("4", "i")
        await d.type("quit and cancel? 1 2")
        assert typed(d) == "quit and cancel? 1 2"
        assert d.calls("act") == []


async def test_while_one_types_the_footer_promises_no_letter_keys() -> None:
    async with driving(fleet(), SMALL) as d:
        await d.press("4")
        assert "? help" in d.lines()[-1]
        await d.press("i")
        assert d.lines()[-1].split() == ["enter", "send", "or", "keep", "esc", "back"]
        await d.press("escape")
        assert "? help" in d.lines()[-1]


async def test_an_answer_can_be_made_a_rule_where_it_is_typed() -> None:
    async with driving(fleet()) as d:
        await d.press("4", "i")
        await d.type("/rule agent 2")
        await d.press("enter")
        await d.until(lambda: d.calls("answer") == [("m-2", "sliding window", RuleScope.AGENT)])
        await d.until(lambda: d.flash == "answered impl-2, always for this agent: sliding window")


async def test_a_rule_without_a_scope_is_not_sent() -> None:
    async with driving(fleet()) as d:
        await d.press("4", "i")
        await d.type("/rule everybody 2")
        await d.press("enter")
        await d.until(lambda: "for a rule write" in d.flash)
        assert typed(d) == "/rule everybody 2"
        assert d.calls("answer") == []


async def test_the_same_question_of_two_agents_is_one_entry() -> None:
    known = fleet()
    first = next(m for m in known.backend.messages if m.id == "m-2")
    known.backend.messages.append(
        replace(first, id="m-twin", conversation_id="01kc7m2q9x4b3", created_at=NOW)
    )
    async with driving(known) as d:
        await d.press("4")
        await d.until(lambda: "(asked 2 times)" in d.text())
