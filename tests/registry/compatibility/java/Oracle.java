import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;

/**
 * Says what Apache Avro's Java library makes of schemas.
 *
 * <p>Reads one JSON array of schema texts a line. Answers each line with an object: "texts" are the schemas as
 * {@code Schema.toString()} writes them, null where the library refuses one; "pairs" are the problems of each reader
 * with each writer among the schemas it takes, as [reader, writer, [[kind, location], ...]], null for an exception.
 */
public final class Oracle {
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] arguments) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      out.println(JSON.writeValueAsString(judge(JSON.readTree(line))));
    }
    out.flush();
  }

  private static ObjectNode judge(JsonNode texts) {
    ObjectNode answer = JSON.createObjectNode();
    ArrayNode written = answer.putArray("texts");
    Schema[] schemas = new Schema[texts.size()];
    for (int at = 0; at < schemas.length; at++) {
      try {
        schemas[at] = new Schema.Parser().parse(texts.get(at).textValue());
        written.add(schemas[at].toString());
      } catch (RuntimeException | StackOverflowError refused) {
        written.addNull();
      }
    }
    ArrayNode pairs = answer.putArray("pairs");
    for (int reader = 0; reader < schemas.length; reader++) {
      for (int writer = 0; writer < schemas.length; writer++) {
        if (reader != writer && schemas[reader] != null && schemas[writer] != null) {
          pairs.addArray().add(reader).add(writer).add(problems(schemas[reader], schemas[writer]));
        }
      }
    }
    return answer;
  }

  private static ArrayNode problems(Schema reader, Schema writer) {
    try {
      ArrayNode found = JSON.createArrayNode();
      SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getResult().getIncompatibilities()
          .forEach(each -> found.addArray().add(each.getType().name()).add(each.getLocation()));
      return found;
    } catch (RuntimeException thrown) {
      return null;
    }
  }
}
