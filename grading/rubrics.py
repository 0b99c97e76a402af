"""The questions that a person grades: their text with its rubric, and a model answer."""

from grading.lesson import column, role, sections

__all__ = ["rubrics"]


def rubrics(lesson):
    """All hand-graded questions of a lesson, in Markdown.

    The question is what stands since the last graded cell; its rubric is a table or a bracket.
    """
    parts = []
    for cells in sections(lesson.notebook).values():
        asked = []
        for cell in cells:
            own = role(cell)
            if own.get("grade") and own.get("solution"):
                points = f"{own['points']:g} point{'' if own['points'] == 1 else 's'}"
                head = f"# {column(own['grade_id'])}: {points}"
                answer = "\n".join(f"> {line}".rstrip() for line in cell["source"].split("\n"))
                parts.append("\n\n".join([head, *asked, "**A model answer**", answer]))
            asked = [] if own.get("grade") else asked
            asked += [cell["source"]] if cell["cell_type"] == "markdown" and not own else []
    return "\n\n".join(parts)
