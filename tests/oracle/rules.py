#!/usr/bin/env python3
"""What `meeting-controller occurrences` says of random rules, compared with python-dateutil (pip install python-dateutil==2.9.0).

rules.py PROGRAM [HOW MANY] [SEED]      # just rules: 500 of them

The test command has 160 rules that were drawn once (src/plan/series/rule/dateutil.json), so it needs no Python. Weekdays with and
without a number are not mixed: of these dateutil takes only those that are both (RFC 5545 says: either).
"""
import datetime, json, random, subprocess, sys, tempfile

from dateutil import rrule

DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
YEARS = 12


def draw(random):
    frequency = random.choice(["Daily", "Weekly", "Monthly", "Yearly"])
    rule = {"frequency": frequency}
    some = lambda chance: random.random() < chance
    if some(0.5):
        rule["interval"] = random.randint(1, 6)
    if some(0.5):
        numbered = frequency in ("Monthly", "Yearly") and some(0.5)
        days = random.sample(DAYS, random.randint(1, 3))
        if numbered:
            # Without byMonth the number counts within the year, with it (and with Monthly) within the month.
            days = [f"{random.choice([-5, -2, -1, 1, 2, 3, 5])}{day}" for day in days]
        rule["byDay"] = days
    if frequency != "Weekly" and some(0.3):
        rule["byMonthDay"] = random.sample([*range(1, 32), *range(-31, 0)], random.randint(1, 4))
    if some(0.3):
        rule["byMonth"] = sorted(random.sample(range(1, 13), random.randint(1, 4)))
    if {"byDay", "byMonthDay", "byMonth"} & rule.keys() and some(0.3):
        rule["bySetPos"] = random.sample([-3, -2, -1, 1, 2, 3, 4], random.randint(1, 2))
    if some(0.4):
        rule["weekStart"] = random.choice(DAYS)
    start = datetime.datetime(random.randint(2000, 2030), 1, 1, 9) + datetime.timedelta(days=random.randrange(366))
    if some(0.2):
        rule["count"] = random.randint(1, 30)
    elif some(0.2):
        rule["until"] = (start + datetime.timedelta(days=random.randrange(3000))).isoformat()
    return rule, start


def oracle(rule, start, end):
    def weekday(text):
        day = getattr(rrule, text[-2:])
        return day(int(text[:-2])) if text[:-2] else day

    given = {"interval": rule.get("interval", 1), "dtstart": start, "count": rule.get("count")}
    if "until" in rule:
        given["until"] = datetime.datetime.fromisoformat(rule["until"])
    if "byDay" in rule:
        given["byweekday"] = [weekday(text) for text in rule["byDay"]]
    for name in ("byMonthDay", "byMonth", "bySetPos"):
        if name in rule:
            given[name.lower()] = rule[name]
    given["wkst"] = getattr(rrule, rule.get("weekStart", "MO"))
    days = []
    for at in rrule.rrule(getattr(rrule, rule["frequency"].upper()), **given):
        if at.date() > end:
            break
        days.append(at.isoformat())
    return days


def main():
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(2**32)
    generator, wrong, days, empty = random.Random(seed), 0, 0, 0
    for number in range(count):
        rule, start = draw(generator)
        zone = generator.choice(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
        end = datetime.date(start.year + YEARS, 12, 31)
        series = {"apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries", "metadata": {"name": f"rule-{number}"},
                  "spec": {"start": start.isoformat(), "timeZone": zone, "duration": "30m", "recurrence": rule,
                           "template": {"spec": {"title": "Rule"}}}}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump(series, file)
            file.flush()
            said = subprocess.run([program, "occurrences", file.name, "--until", str(end), "-o", "json"], capture_output=True, text=True)
        wanted = oracle(rule, start, end)
        if said.returncode == 0:
            found = [one["localStart"][:19] for one in json.loads(said.stdout)[0]["occurrences"]]
        else:
            # A rule that has no day at all is refused.
            found = [] if "InvalidRecurrence" in said.stderr else [said.stderr]
        days, empty = days + len(wanted), empty + (not wanted)
        if found != wanted:
            wrong += 1
            print(f"{json.dumps(rule)} from {start}, {zone}:\n  dateutil {wanted[:8]}\n  ours     {found[:8]}", file=sys.stderr)
    print(f"{count - wrong} of {count} rules agree (seed {seed}): {days} days in {YEARS} years and more, {empty} rules without any")
    sys.exit(1 if wrong else 0)


main()
