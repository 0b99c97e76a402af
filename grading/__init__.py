"""The instructors' kit: hand out an assignment, grade it safely, give feedback.

`python -m grading --help` says how it is called; `docs/instructors.md` how it is used. An answer
runs in a sandbox (`sandbox`, `runner`) that knows neither solutions, nor right outcomes, nor the
grade book; its outcomes are compared here (`judge`), and nbgrader keeps the grades (`gradebook`).
"""
