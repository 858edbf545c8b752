package io.sluice.client;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What an export is: its file, its tables and their columns, its options. */
final class Definition {
    private final Map<String, Object> members = new LinkedHashMap<>();
    private final Map<String, Object> options = new LinkedHashMap<>();
    /** Columns by sheet; of the one table by the empty text. */
    private final Map<String, List<Column>> sheets = new LinkedHashMap<>();
    private long expectedRows;

    Definition(String filename, String format) {
        members.put("filename", filename);
        members.put("format", format);
        members.put("options", options);
    }

    void declare(String sheet, List<Column> columns) {
        sheets.put(sheet, List.copyOf(columns));
        if (sheets.containsKey("") && sheets.size() > 1) {
            throw new UsageException("An export has columns(), or one or more of sheet(); not both.");
        }
    }

    void addOptions(Map<String, ?> more) {
        options.putAll(more);
        new JsonBytes().any(options); // refuses here what is no option
    }

    void expect(long rows) {
        if (rows < 0) {
            throw new UsageException("expect() takes a number of rows.");
        }
        expectedRows = rows;
        members.put("expected_rows", rows);
    }

    /** How many rows were announced; 0 where none were. */
    long expectedRows() {
        return expectedRows;
    }

    /** Declared sheets; none where there is one table, or nothing was declared. */
    List<String> sheetNames() {
        return sheets.containsKey("") ? List.of() : new ArrayList<>(sheets.keySet());
    }

    /** Of the rows of one table. Where nothing was declared, only the service knows the columns. */
    RowEncoder encoder(String sheet, boolean substitutes) {
        List<Column> columns = sheets.get(sheet);
        if (columns == null && !sheets.isEmpty()) {
            String names = String.join(", ", sheetNames());
            throw new UsageException(sheet.isEmpty() ? "write() and push() name one of the sheets: " + names + "."
                    : "There is no sheet \"" + sheet + "\" here; declared are: "
                            + (names.isEmpty() ? "the columns of one table" : names) + ".");
        }
        List<String> names = columns == null ? List.of() : columns.stream().map(Column::name).toList();
        return new RowEncoder(names, sheet, substitutes);
    }

    /** As the open takes it. */
    Map<String, Object> body() {
        if (sheets.isEmpty()) {
            throw new UsageException("columns() or sheet() comes first.");
        }
        Map<String, Object> body = new LinkedHashMap<>(members);
        if (sheets.containsKey("")) {
            body.put("columns", membersOf(sheets.get("")));
        } else {
            List<Object> tables = new ArrayList<>();
            sheets.forEach((name, columns) -> tables.add(Map.of("name", name, "columns", membersOf(columns))));
            body.put("sheets", tables);
        }
        return body;
    }

    private static List<Map<String, Object>> membersOf(List<Column> columns) {
        return columns.stream().map(Column::members).toList();
    }
}
